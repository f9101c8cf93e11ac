-- Renews the node's lease, once a second, and does what is due.
-- ARGV: beat, the last one known to have been heard, lease in µs, 1 = the node
-- is new, for how many µs departures are not to be announced from now on or 0,
-- where to publish the canary or ''.
if deadline > 0 and now > deadline then return {'late', digits(now)} end
local p, lease = tag .. ':p', tonumber(ARGV[5])
local mine = redis.call('HGET', p, 'n:' .. me)
-- An empty Redis may be one that has forgotten who listens.
if ARGV[7] ~= '0' or redis.call('EXISTS', p) == 0 then
  redis.call('HSET', p, 'all', digits(now + 60000000))
end
if not mine then
  if redis.call('EXISTS', tag .. ':dead:' .. me) == 1 then return {'fenced'} end
  if ARGV[6] == '0' then return {'unknown'} end
  mine = '0 0 0'
end
local expires, since, beat = string.match(mine, '(%d+) (%d+) (%d+)')
-- A server that has forgotten a beat may have forgotten more.
if tonumber(beat) < tonumber(ARGV[4]) then return {'unknown'} end
if tonumber(expires) < now then since = digits(now) end
redis.call('HSET', p, 'n:' .. me, digits(now + lease) .. ' ' .. since .. ' ' .. ARGV[3])
if ARGV[7] ~= '0' then redis.call('HSET', p, 'settle', digits(now + tonumber(ARGV[7]))) end
admit()

-- Whoever has renewed its own lease without a break for as long as a lease lasts
-- may tell the dead from those that could not reach Redis either.
if tonumber(since) + lease <= now then
  local fields = redis.call('HGETALL', p)
  for i = 1, #fields, 2 do
    local node = string.match(fields[i], '^n:(.+)$')
    if node and tonumber(string.match(fields[i + 1], '^%d+')) < now then
      redis.call('HDEL', p, fields[i])
      redis.call('SET', tag .. ':dead:' .. node, '', 'EX', 3600)
      redis.call('SADD', tag .. ':graves', node)
    end
  end
end

for _, topic in ipairs(redis.call('ZRANGEBYSCORE', tag .. ':due', 0, digits(now), 'LIMIT', 0, 100)) do
  redis.call('ZREM', tag .. ':due', topic)
  local app, channel = split(topic)
  local total = tonumber(redis.call('HGET', tag .. ':subs:' .. app, channel) or 0)
  redis.call('HDEL', tag .. ':counted', topic)
  count(app, channel, total)
end

redis.call('XTRIM', tag .. ':log', 'MINID', '~', digits(now - 60000000))
if ARGV[8] ~= '' then redis.call('PUBLISH', ARGV[8], digits(seq)) end
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or ''
return {'ok', digits(now), digits(seq), redis.call('SCARD', tag .. ':graves'), server}
