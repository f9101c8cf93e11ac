-- Publishes events.
-- Answers ok, the last sequence number, the last one of these events in the log or
-- 0, the epoch.
local refusal = admit()
if refusal then return refusal end
local kept = '0'
for _ = 1, tonumber(events) do
  take(event)
  if cache_ms ~= '0' then
    redis.call('SET', tag .. ':x:' .. app .. ':' .. channel, string.sub(body, tonumber(frame_at) + 1), 'PX', cache_ms)
  end
  local before = logged
  send(app, channel, body, tonumber(count))
  if logged ~= before then kept = logged end
end
return {'ok', digits(seq), kept, epoch}
