-- Says all that the node has on a channel, when Redis may have forgotten some.
-- ARGV: app, channel, subscribers, then user and user info for each user.
local refusal = admit()
if refusal then return refusal end
local app, channel = ARGV[3], ARGV[4]
local here = {}
for i = 6, #ARGV, 2 do
  here[ARGV[i]] = true
  enter(me, app, channel, ARGV[i], ARGV[i + 1], 0)
end
for _, user in ipairs(redis.call('SMEMBERS', tag .. ':h:' .. app .. ':' .. channel .. ':' .. me)) do
  if not here[user] then exit(me, app, channel, user) end
end
set(me, app, channel, tonumber(ARGV[5]))
return {'ok'}
