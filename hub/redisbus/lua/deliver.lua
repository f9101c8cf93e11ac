-- Renews or takes the lease of the node that delivers an app's webhooks. It is in the app's
-- partition. In place of the node stands its id.
-- Answers ok, the time, 1 = it is this node.
if deadline > 0 and now > deadline then return {'late', digits(now)} end
local key = tag .. ':deliverer:' .. app
local owner = redis.call('GET', key)
if owner and owner ~= me then return {'ok', digits(now), 0} end
redis.call('SET', key, me, 'PX', lease_ms)
return {'ok', digits(now), 1}
