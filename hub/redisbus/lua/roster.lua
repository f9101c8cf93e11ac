-- Says who is on a channel, to one node, which keeps as many numbers in the order
-- as it needs to tell its sockets what is new about it.
-- ARGV: app, channel, how many numbers.
-- Answers ok, the last of the numbers, user and user info of each.
local refusal = admit()
if refusal then return refusal end
seq = math.max(seq + 1, now) + tonumber(ARGV[6])
redis.call('HSET', tag .. ':p', 'seq', digits(seq))
local reply = {'ok', digits(seq)}
for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. ARGV[4] .. ':' .. ARGV[5])) do
  reply[#reply + 1] = word
end
return reply
