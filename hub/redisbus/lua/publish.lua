-- Publishes events.
-- Answers ok, the last sequence number, the last one of these events that was logged or
-- 0, the app that it is of, the epoch.
cache_bytes = tonumber(cache_bytes)
local refusal = admit()
if refusal then return refusal end
local kept, kept_app = '0', ''
for _ = 1, tonumber(events) do
  take(event)
  if cache_ms ~= '0' then
    cache(app, channel, string.sub(body, tonumber(frame_at) + 1), tonumber(cache_ms))
  end
  local plus, noted = string.find(count, '+', 1, true), 0
  if plus then noted, count = tonumber(string.sub(count, plus + 1)), string.sub(count, 1, plus - 1) end
  local number = send(app, channel, body, tonumber(count))
  if number then kept, kept_app = number, app end
  for _ = 1, noted do
    take(occurrence)
    occur(app, channel, client_event, '', 'u', user, 'e', event_name, 'd', data, 's', socket)
  end
end
return {'ok', digits(seq), kept, kept_app, epoch}
