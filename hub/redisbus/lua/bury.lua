-- Declares the nodes dead whose names start with the prefix.
-- Answers ok, the number of graves.
local refusal = begin()
if refusal then return refusal end
writable()
for _, node in ipairs(redis.call('SMEMBERS', tag .. ':nodes')) do
  if string.sub(node, 1, #prefix) == prefix then
    redis.call('SREM', tag .. ':nodes', node)
    redis.call('SREM', tag .. ':restating', node)
    redis.call('SET', tag .. ':dead:' .. node, '', 'PX', dead_kept)
    redis.call('SADD', tag .. ':graves', node)
  end
end
return {'ok', redis.call('SCARD', tag .. ':graves')}
