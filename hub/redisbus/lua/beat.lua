-- Renews a lease, once a second. It is in the first of the partitions that hang
-- on it, and so on one server. In place of the node stands the lease.
-- Answers ok, the time, how many leases there are, how many of their nodes may be
-- dead, the oldest version, 1 = this node is to sweep, 1 = Redis had forgotten the
-- lease, or a beat of it, then ended leases, whose nodes this one is to bury.
if deadline > 0 and now > deadline then return {'late', digits(now)} end
local leases, lives, dying = tag .. ':leases', tag .. ':lives', tag .. ':dying'
local lasts, ends = tonumber(lease_us), redis.call('ZSCORE', leases, me)
local since, forgotten = now, '0'
if ends then
  local began, last = string.match(redis.call('HGET', lives, me) or '', '(%d+) (%d+)')
  -- A server that has forgotten a beat may have forgotten more.
  if not last or tonumber(last) < tonumber(heard) then
    forgotten = '1'
  elseif now - (tonumber(ends) - lasts) <= lasts / 2 then
    since = tonumber(began)
  end
elseif is_new == '0' then
  if redis.call('EXISTS', tag .. ':over:' .. me) == 1 then return {'fenced', digits(now)} end
  forgotten = '1'
end
writable()
redis.call('ZADD', leases, digits(now + lasts), me)
redis.call('HSET', lives, me, digits(since) .. ' ' .. beat)
redis.call('ZADD', tag .. ':versions', version, me)
local reply = {'ok', digits(now), redis.call('ZCARD', leases), 0, version, '0', forgotten}

-- Whoever has renewed its own lease without a break for as long as a lease lasts
-- may tell the dead from those that could not reach Redis either. Half of that time
-- is a break: a lease that has outlived one may be a little longer than others.
if since + lasts <= now then
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', leases, 0, digits(now), 'LIMIT', 0, 10)) do
    redis.call('ZREM', leases, node)
    redis.call('ZREM', tag .. ':versions', node)
    redis.call('HDEL', lives, node)
    redis.call('SET', tag .. ':over:' .. node, '', 'PX', dead_kept)
    redis.call('ZADD', dying, 0, node)
  end
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', dying, 0, digits(now - bury_again), 'LIMIT', 0, 10)) do
    redis.call('ZADD', dying, digits(now), node)
    reply[#reply + 1] = node
  end
end
reply[4] = redis.call('ZCOUNT', leases, 0, digits(now + lasts - tonumber(late_us))) + redis.call('ZCARD', dying)
reply[5] = redis.call('ZRANGE', tag .. ':versions', 0, 0, 'WITHSCORES')[2]
if redis.call('SET', tag .. ':sweep', '', 'NX', 'PX', sweep_pause) then reply[6] = '1' end
return reply
