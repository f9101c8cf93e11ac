-- Declares nodes dead.
-- ARGV: nodes.
local refusal = admit()
if refusal then return refusal end
for i = 3, #ARGV do
  redis.call('HDEL', tag .. ':p', 'n:' .. ARGV[i])
  redis.call('SET', tag .. ':dead:' .. ARGV[i], '', 'EX', 3600)
  redis.call('SADD', tag .. ':graves', ARGV[i])
end
return {'ok', redis.call('SCARD', tag .. ':graves')}
