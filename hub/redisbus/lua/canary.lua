-- Publishes the time, for a node to hear by its own connection.
-- ARGV: where.
redis.call(publish, ARGV[4], digits(now))
return {'ok', digits(now)}
