-- A connection of the node has left a channel.
-- ARGV: app, channel, the node's remaining subscribers, 1 = they are told how
-- many they are, 1 = a user is gone from the node, user.
local refusal = admit()
if refusal then return refusal end
local app, channel = ARGV[3], ARGV[4]
if ARGV[7] == '1' then exit(me, app, channel, ARGV[8]) end
local total = set(me, app, channel, tonumber(ARGV[5]))
if ARGV[6] == '1' then count(app, channel, total) end
return {'ok'}
