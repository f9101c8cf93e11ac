-- Publishes events.
-- ARGV: how many, then for each: app, channel, body, how many events the body
-- has, the cache's life in ms or 0, where the frame starts.
-- Answers ok, the last sequence number, the last one in the log, the epoch.
local refusal = admit()
if refusal then return refusal end
local at = 5
for _ = 1, tonumber(ARGV[4]) do
  local app, channel, body = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local life = tonumber(ARGV[at + 4])
  if life > 0 then
    redis.call('SET', tag .. ':x:' .. app .. ':' .. channel,
      string.sub(body, tonumber(ARGV[at + 5]) + 1), 'PX', life)
  end
  send(app, channel, body, tonumber(ARGV[at + 3]))
  at = at + 6
end
return {'ok', digits(seq), logged, epoch}
