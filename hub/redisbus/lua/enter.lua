-- A node takes part in a partition, or looks whether it still does.
-- Answers ok, the time, the epoch, the number of graves.
local refusal = begin()
if refusal then return refusal end
local nodes, p = tag .. ':nodes', tag .. ':p'
if redis.call('EXISTS', tag .. ':dead:' .. me) == 1
  or old ~= '' and redis.call('EXISTS', tag .. ':dead:' .. old) == 1 then
  return {'fenced', digits(now)}
end
if comes == '0' then
  if redis.call('SISMEMBER', nodes, me) == 0 then return {'unknown', digits(now)} end
  return {'ok', digits(now), epoch, redis.call('SCARD', tag .. ':graves')}
end
local before, highest = tonumber(known_epoch), tonumber(known)
-- An empty Redis may be one that has forgotten who listens.
if epoch == '0' then
  epoch = digits(now)
  redis.call('HSET', p, 'epoch', epoch, 'all', digits(now + log_age))
end
if lost == '1' then
  -- The first to notice starts a new epoch, and the time for all to come back.
  if before > tonumber(redis.call('HGET', p, 'lost') or -1) then
    epoch = digits(math.max(now, before + 1, tonumber(epoch) + 1))
    redis.call('HSET', p, 'epoch', epoch, 'lost', digits(before),
      'settle', settle_us, 'settled', digits(now), 'all', digits(now + log_age))
  end
  redis.call('SADD', tag .. ':restating', me)
  -- Who has not seen an event that was logged and is forgotten has missed it.
  for number, app in pairs({[published] = published_app, [heard] = heard_app}) do
    if tonumber(number) > tonumber(redis.call('HGET', p, 'known') or 0)
      and #redis.call('XRANGE', tag .. ':log:' .. app, number, number) == 0 then
      redis.call('HSET', p, 'known', number)
    end
  end
end
if highest > seq then redis.call('HSET', p, 'seq', digits(highest)) end
redis.call('SADD', nodes, me)
return {'ok', digits(now), epoch, redis.call('SCARD', tag .. ':graves')}
