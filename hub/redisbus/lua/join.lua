-- A connection of the node subscribes.
-- ARGV: app, channel, the node's subscribers, 1 = they are told how many they
-- are, 1 = the answer has the roster, most users or 0, most subscribers or 0,
-- 1 = as a member, user, user info.
local refusal = admit()
if refusal then return refusal end
local app, channel, n = ARGV[3], ARGV[4], tonumber(ARGV[5])
local topic = app .. ':' .. channel
local most = tonumber(ARGV[9])
if most > 0 then
  local total = tonumber(redis.call('HGET', tag .. ':subs:' .. app, channel) or 0)
  local mine = tonumber(redis.call('HGET', tag .. ':n:' .. topic, me) or 0)
  if n > mine and total - mine + n > most then
    return {doubtful() and 'doubtful' or 'full'}
  end
end
if ARGV[10] == '1' and not enter(me, app, channel, ARGV[11], ARGV[12], tonumber(ARGV[8])) then
  return {'full'}
end
local total = set(me, app, channel, n)
-- The subscriber is told the count behind its acknowledgement.
local at = digits(seq)
if ARGV[6] == '1' then count(app, channel, total) end
local reply = {'ok', at, settling and '1' or '0',
  redis.call('GET', tag .. ':x:' .. topic) or ''}
if ARGV[7] == '1' then
  for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. topic)) do
    reply[#reply + 1] = word
  end
end
return reply
