-- Gives a client's token to a connection.
-- Answers ok, the time, the epoch, who had the token and how far that had come, or "".
-- What stands under :k:<token> begins with its owner.
local refusal = begin()
if refusal then return refusal end
local key = tag .. ':k:' .. token
local before = redis.call('GET', key) or ''
redis.call('SET', key, owner .. string.sub(before, #owner + 1), 'PX', life_ms)
return {'ok', digits(now), epoch, before}
