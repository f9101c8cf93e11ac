-- Gives a client's token to a connection.
-- Answers ok, the time, the epoch, what was there, or "". That is the owner, 1 = how far it
-- has come was noted by the owner itself, 0 = by one before, and how far that is.
local refusal = begin()
if refusal then return refusal end
local key = tag .. ':k:' .. token
local before = redis.call('GET', key) or ''
redis.call('SET', key, owner .. '0' .. string.sub(before, #owner + 2), 'PX', life_ms)
return {'ok', digits(now), epoch, before}
