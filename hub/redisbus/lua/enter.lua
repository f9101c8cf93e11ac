-- A node takes part in a partition, or looks whether it still does.
-- ARGV: 1 = it comes, 0 = it looks; the name that it had before, or ''; 1 = because
-- Redis has lost something; the epoch that it knows; the highest number that it
-- knows; the highest that it has published and that was logged; the highest that has
-- come to it before its connection broke; for how many µs departures are held back at
-- least after a loss.
-- Answers ok, the time, the epoch, the number of graves.
local refusal = begin()
if refusal then return refusal end
local nodes, p = tag .. ':nodes', tag .. ':p'
local old, lost = ARGV[5], ARGV[6] == '1'
if redis.call('EXISTS', tag .. ':dead:' .. me) == 1
  or old ~= '' and redis.call('EXISTS', tag .. ':dead:' .. old) == 1 then
  return {'fenced', digits(now)}
end
if ARGV[4] == '0' then
  if redis.call('SISMEMBER', nodes, me) == 0 then return {'unknown', digits(now)} end
  return {'ok', digits(now), epoch, redis.call('SCARD', tag .. ':graves')}
end
local before, known = tonumber(ARGV[7]), tonumber(ARGV[8])
-- An empty Redis may be one that has forgotten who listens.
if epoch == '0' then
  epoch = digits(now)
  redis.call('HSET', p, 'epoch', epoch, 'all', digits(now + log_age))
end
if lost then
  -- The first to notice starts a new epoch, and the time for all to come back.
  if before > tonumber(redis.call('HGET', p, 'lost') or -1) then
    epoch = digits(math.max(now, before + 1, tonumber(epoch) + 1))
    redis.call('HSET', p, 'epoch', epoch, 'lost', digits(before),
      'settle', digits(now + tonumber(ARGV[11])), 'all', digits(now + log_age))
  end
  redis.call('SADD', tag .. ':restating', me)
  -- What was logged and is forgotten shows as a gap in the log from now on.
  for i = 9, 10 do
    local number = tonumber(ARGV[i])
    if number > tonumber(redis.call('HGET', p, 'known') or 0)
      and #redis.call('XRANGE', tag .. ':log', ARGV[i], ARGV[i]) == 0 then
      redis.call('HSET', p, 'known', ARGV[i])
    end
    if number > tonumber(logged) then
      logged = ARGV[i]
      redis.call('HSET', p, 'log', logged)
    end
  end
end
if known > seq then redis.call('HSET', p, 'seq', digits(known)) end
redis.call('SADD', nodes, me)
return {'ok', digits(now), epoch, redis.call('SCARD', tag .. ':graves')}
