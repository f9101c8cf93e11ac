-- Does what is due in a partition: one node does it, about once a second.
-- Answers ok, the number of graves, the bytes of the logs.
local refusal = begin()
if refusal then return refusal end
writable()
progress()
speak()
forget_histories()
-- As many logs as are swept in a second; all get their turn.
each_log(redis.call('HRANDFIELD', tag .. ':p', 32, 'WITHVALUES'), sweep_log)
for _, topic in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':due', 0, digits(now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', tag .. ':due', topic)
  local app, channel = split(topic)
  local total = tonumber(redis.call('HGET', tag .. ':subs:' .. app, channel) or 0)
  redis.call('HDEL', tag .. ':counted', topic)
  count(app, channel, total)
end
return {'ok', redis.call('SCARD', tag .. ':graves'), digits(log_total)}
