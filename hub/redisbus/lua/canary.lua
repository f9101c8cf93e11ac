-- Publishes the time, for a node to hear by its own connection.
redis.call(publish, where, digits(now))
return {'ok', digits(now)}
