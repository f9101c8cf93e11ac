-- Says who is on a channel, at a place in the order that nothing else has: what
-- comes later has a higher number.
-- Answers ok, the place, user and user info of each; or ok and 0 while nodes are coming
-- back after a loss, and some who are there are missing.
local refusal = admit()
if refusal then return refusal end
if settling() then return {'ok', '0'} end
seq = math.max(seq + 1, now)
redis.call('HSET', tag .. ':p', 'seq', digits(seq))
local reply = {'ok', digits(seq)}
for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. app .. ':' .. channel)) do
  reply[#reply + 1] = word
end
return reply
