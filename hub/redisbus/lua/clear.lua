-- Removes what dead nodes had, a part at a time, and announces what follows. Members of
-- presence channels whose app has a grace are given to the node that asks; who is no node
-- leaves everything, where there are such apps.
-- Answers ok, the number of graves that are left, then topic, user and user info of each
-- member that was given.
local refusal
if me == '' then refusal = begin() else refusal = admit() end
if refusal then return refusal end
if me == '' and graced ~= '' then return {'ok', 0} end
writable()
local left, given = tonumber(step), {}

-- give makes a member the asking node's own, unless he is already.
local function give(topic, from, user)
  if redis.call('SADD', tag .. ':h:' .. topic .. ':' .. me, user) == 0 then return false end
  redis.call('SADD', tag .. ':r:' .. me, topic)
  redis.call('SREM', tag .. ':h:' .. topic .. ':' .. from, user)
  for _, word in ipairs({topic, user, redis.call('HGET', tag .. ':m:' .. topic, user) or ''}) do
    given[#given + 1] = word
  end
  return true
end

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
    local gives = string.sub(channel, 1, 9) == 'presence-' and string.find(graced, ' ' .. app .. ' ', 1, true)
    for _, user in ipairs(redis.call('SRANDMEMBER', held, left)) do
      if not gives or not give(topic, node, user) then exit(node, app, channel, user, hooks, 'b') end
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
return {'ok', redis.call('SCARD', tag .. ':graves'), unpack(given)}
