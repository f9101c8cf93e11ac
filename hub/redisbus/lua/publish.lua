-- Publishes events.
-- Answers ok, the last sequence number, the last one in the log, the epoch.
local refusal = admit()
if refusal then return refusal end
for _ = 1, tonumber(events) do
  take(event)
  if cache_ms ~= '0' then
    redis.call('SET', tag .. ':x:' .. app .. ':' .. channel, string.sub(body, tonumber(frame_at) + 1), 'PX', cache_ms)
  end
  send(app, channel, body, tonumber(count))
end
return {'ok', digits(seq), logged, epoch}
