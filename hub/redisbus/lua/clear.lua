-- Removes what dead nodes had, a part at a time, and announces what follows.
-- Answers ok, the number of graves that are left.
local refusal = begin()
if refusal then return refusal end
writable()
local left = tonumber(step)
for _, node in ipairs(redis.call('SMEMBERS', tag .. ':graves')) do
  while left > 0 do
    local topic = redis.call('SRANDMEMBER', tag .. ':r:' .. node)
    if not topic then
      redis.call('SREM', tag .. ':graves', node)
      break
    end
    local app, channel = split(topic)
    local held = tag .. ':h:' .. topic .. ':' .. node
    local hooks = tonumber(redis.call('HGET', tag .. ':hooks', topic) or 0)
    for _, user in ipairs(redis.call('SRANDMEMBER', held, left)) do
      exit(node, app, channel, user, hooks, 'b')
      left = left - 1
    end
    if redis.call('EXISTS', held) == 0 then
      set(node, app, channel, 0, hooks, 'b')
      if redis.call('HEXISTS', tag .. ':counted', topic) == 1 then
        redis.call('ZADD', tag .. ':due', 'NX', digits(now), topic)
      end
      left = left - 1
    end
  end
end
return {'ok', redis.call('SCARD', tag .. ':graves')}
