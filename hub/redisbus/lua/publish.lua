-- Publishes an event, and keeps its frame where the channel has a cache.
-- ARGV: app, channel, body, the cache's life in ms or 0, where the frame starts.
local refusal = admit()
if refusal then return refusal end
local app, channel, body, life = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
if life > 0 then
  redis.call('SET', tag .. ':x:' .. app .. ':' .. channel,
    string.sub(body, tonumber(ARGV[7]) + 1), 'PX', life)
end
send(app, channel, body)
return {'ok', digits(seq)}
