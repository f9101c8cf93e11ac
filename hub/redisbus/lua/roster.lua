-- Says who is on a channel, at a place in the order that nothing else has: what
-- comes later has a higher number.
-- Answers ok, the place, user and user info of each.
local refusal = admit()
if refusal then return refusal end
seq = math.max(seq + 1, now)
redis.call('HSET', tag .. ':p', 'seq', digits(seq))
local reply = {'ok', digits(seq)}
for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. app .. ':' .. channel)) do
  reply[#reply + 1] = word
end
return reply
