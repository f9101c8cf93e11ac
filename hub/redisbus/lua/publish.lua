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
  local noted, history, room, known = 0, nil, true, false
  if not tonumber(count) then
    local n, keeps, is_once, occurrences = string.match(count, '^(%d+)(h?)(o?)%+?(%d*)$')
    count, noted = n, tonumber(occurrences) or 0
    if keeps == 'h' then
      take(history)
      history = history_of(app, channel)
      history.most_events, history.keep_for, history.most_bytes = most_events, tonumber(age_us), tonumber(most_bytes)
      room = history.total + #body + history_cost <= tonumber(most_total)
    end
    if is_once == 'o' then
      take(once)
      local key = tag .. ':once:' .. app .. ':' .. part
      known = redis.call('EXISTS', key) == 1
      if room and not known then redis.call('SET', key, '', 'PX', once_ms) end
    end
  end
  if known then
    history = nil
  elseif room then
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
    if room and not known then occur(app, channel, client_event, '', 'u', user, 'e', event_name, 'd', data, 's', socket) end
  end
end
return {'ok', digits(seq), kept, kept_app, epoch, unpack(full)}
