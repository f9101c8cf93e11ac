-- Says what the rosters of channels add up to.
-- Answers ok, their place in the order, 1 = nodes are coming back, the sum of each.
local refusal = begin()
if refusal then return refusal end
local reply = {'ok', digits(seq), settling() and '1' or '0'}
while at <= #ARGV do
  take(topic)
  reply[#reply + 1] = redis.call('HGET', tag .. ':sums', app .. ':' .. channel) or '0'
end
return reply
