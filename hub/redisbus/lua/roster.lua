-- Publishes who is on a channel, for nodes to compare with what they know.
-- ARGV: app, channel.
local refusal = admit()
if refusal then return refusal end
if settling then return {'settling'} end
local body = {'r'}
for _, word in ipairs(redis.call('HGETALL', tag .. ':m:' .. ARGV[3] .. ':' .. ARGV[4])) do
  body[#body + 1] = string_of(word)
end
send(ARGV[3], ARGV[4], table.concat(body))
return {'ok'}
