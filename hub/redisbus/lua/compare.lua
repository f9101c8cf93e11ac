-- Says what the rosters of channels add up to.
-- ARGV: app and channel of each.
-- Answers ok, their place in the order, 1 = nodes are coming back, the sum of each.
local refusal = begin()
if refusal then return refusal end
local reply = {'ok', digits(seq), settling() and '1' or '0'}
for i = 4, #ARGV, 2 do
  reply[#reply + 1] = redis.call('HGET', tag .. ':sums', ARGV[i] .. ':' .. ARGV[i + 1]) or '0'
end
return reply
