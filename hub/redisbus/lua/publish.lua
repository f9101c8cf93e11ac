-- Publishes events.
-- Answers ok, the last sequence number, the last one of these events that was logged or
-- 0, the app that it is of, the epoch, then the places of the events that were not
-- published, since their app's histories have no room.
cache_bytes = tonumber(cache_bytes)
local refusal = admit()
if refusal then return refusal end
local kept, kept_app, full = '0', '', {}
for i = 1, tonumber(events) do
  take(event)
  local noted, history, room = 0, nil, true
  if not tonumber(count) then
    local n, flag, occurrences = string.match(count, '^(%d+)(h?)%+?(%d*)$')
    count, noted = n, tonumber(occurrences) or 0
    if flag == 'h' then
      take(history)
      history = history_of(app, channel)
      history.most_events, history.keep_for, history.most_bytes = most_events, tonumber(age_us), tonumber(most_bytes)
      room = history.total + #body + history_cost <= tonumber(most_total)
    end
  end
  if room then
    if cache_ms ~= '0' then
      cache(app, channel, string.sub(body, tonumber(frame_at) + 1), tonumber(cache_ms))
    end
    local number = send(app, channel, body, tonumber(count))
    if number then kept, kept_app = number, app end
    if history then remember(history, digits(seq), body, history.most_events, history.keep_for, history.most_bytes) end
  else
    full[#full + 1] = i
  end
  for _ = 1, noted do
    take(occurrence)
    if room then occur(app, channel, client_event, '', 'u', user, 'e', event_name, 'd', data, 's', socket) end
  end
end
return {'ok', digits(seq), kept, kept_app, epoch, unpack(full)}
