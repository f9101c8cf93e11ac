-- Says what the node has on channels, and what has changed.
-- Flags: c = the subscribers are told how many they are; w = something is noted for
-- webhooks; the answer has r = the roster, s = the sum of it, x = the cached event.
-- Answers ok, 1 = nodes are coming back, the epoch, and for each channel an array
-- of: its place in the order, the cached frame, the numbers of the moves for which
-- there was no room, how many subscribers the node was granted, 1 = that may be
-- short because of those who are gone, the sum of the roster, or r and then user
-- and user info of each.
local refusal = admit()
if refusal then return refusal end
if only_goes == '1' then writable() end
local reply = {'ok', settling() and '1' or '0', epoch}
for _ = 1, tonumber(channels) do
  take(state)
  local n, most = tonumber(subscribers), tonumber(most_subscribers)
  local topic, full = app .. ':' .. channel, {}
  local wanted, how = 0, ''
  if string.find(flags, 'w', 1, true) then
    take(hook)
    wanted, how = tonumber(kinds), cause
    if n > 0 then tell_opening(app, channel, wanted, how) end
  end
  for i = 0, tonumber(moves) - 1 do
    take(move)
    if sign == '-' or sign == '~' then
      exit(me, app, channel, user, wanted, sign == '~' and 'b' or '')
    elseif not enter(me, app, channel, user, info, tonumber(most_users), wanted, sign == '=' and 'a' or '') then
      full[#full + 1] = i
      n = math.max(n - 1, 0)
    end
  end
  local doubt = false
  if most > 0 then
    local all = tonumber(redis.call('HGET', tag .. ':subs:' .. app, channel) or 0)
    local mine = tonumber(redis.call('HGET', tag .. ':n:' .. topic, me) or 0)
    local room = math.max(mine, most - all + mine)
    if n > room then
      n = room
      doubt = settling() or redis.call('EXISTS', tag .. ':graves') == 1
    end
  end
  local total = set(me, app, channel, n, wanted, how)
  -- The subscriber is told the count behind its acknowledgement.
  local answer = {digits(seq), '', table.concat(full, ' '), digits(n), doubt and '1' or '0', '0'}
  if string.find(flags, 'c', 1, true) then count(app, channel, total) end
  if string.find(flags, 'x', 1, true) then
    answer[2] = redis.call('GET', tag .. ':x:' .. topic) or ''
    if answer[2] == '' and wants(wanted, cache_miss)
      and redis.call('SET', tag .. ':missed:' .. topic, '', 'NX', 'PX', 1000) then
      occur(app, channel, cache_miss, '')
    end
  end
  if string.find(flags, 's', 1, true) then answer[6] = redis.call('HGET', tag .. ':sums', topic) or '0' end
  if string.find(flags, 'r', 1, true) then
    answer[6] = 'r'
    for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. topic)) do
      answer[#answer + 1] = word
    end
  end
  reply[#reply + 1] = answer
end
return reply
