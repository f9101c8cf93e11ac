-- Says what the node has on channels, and what has changed.
-- ARGV: how many channels, 1 = nothing comes, something only goes; then for each
-- channel: app, channel, flags, the node's subscribers, the most that all nodes
-- may have or 0, how many moves; then for each move: + or -, user, user info, most
-- users or 0.
-- Flags: c = the subscribers are told how many they are; the answer has r = the
-- roster, s = the sum of it, x = the cached event.
-- Answers ok, 1 = nodes are coming back, the epoch, and for each channel an array
-- of: its place in the order, the cached frame, the numbers of the moves for which
-- there was no room, how many subscribers the node was granted, 1 = that may be
-- short because of those who are gone, the sum of the roster, or r and then user
-- and user info of each.
local refusal = admit()
if refusal then return refusal end
if ARGV[5] == '1' then writable() end
local reply, at = {'ok', settling() and '1' or '0', epoch}, 6
for _ = 1, tonumber(ARGV[4]) do
  local app, channel, flags = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local n, most, moves = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local topic, full = app .. ':' .. channel, {}
  at = at + 6
  for i = 0, moves - 1 do
    if ARGV[at] == '-' then
      exit(me, app, channel, ARGV[at + 1])
    elseif not enter(me, app, channel, ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])) then
      full[#full + 1] = i
      n = math.max(n - 1, 0)
    end
    at = at + 4
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
  local total = set(me, app, channel, n)
  -- The subscriber is told the count behind its acknowledgement.
  local answer = {digits(seq), '', table.concat(full, ' '), digits(n), doubt and '1' or '0', '0'}
  if string.find(flags, 'c', 1, true) then count(app, channel, total) end
  if string.find(flags, 'x', 1, true) then answer[2] = redis.call('GET', tag .. ':x:' .. topic) or '' end
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
