-- Cached events: what an app has in a partition may take cache_bytes. Those give way
-- that are the next to expire.

-- forget drops a cached event and returns what it took.
local function forget(app, channel)
  local sizes = tag .. ':sizes:' .. app
  local bytes = tonumber(redis.call('HGET', sizes, channel) or 0)
  redis.call('DEL', tag .. ':x:' .. app .. ':' .. channel)
  redis.call('HDEL', sizes, channel)
  redis.call('ZREM', tag .. ':expiries:' .. app, channel)
  return bytes
end

-- cache keeps a channel's event for some ms.
local function cache(app, channel, frame, ms)
  local sizes, expiries = tag .. ':sizes:' .. app, tag .. ':expiries:' .. app
  local found = redis.call('HMGET', sizes, channel, ':')
  local bytes = #frame + 2 * #channel + 200
  local all = tonumber(found[2] or 0) - tonumber(found[1] or 0) + bytes
  redis.call('SET', tag .. ':x:' .. app .. ':' .. channel, frame, 'PX', ms)
  redis.call('HSET', sizes, channel, bytes)
  redis.call('ZADD', expiries, digits(now + ms * 1000), channel)
  for _, old in ipairs(redis.call('ZRANGEBYSCORE', expiries, 0, digits(now), 'LIMIT', 0, 100)) do
    if old ~= channel then all = all - forget(app, old) end
  end
  while all > cache_bytes do
    local next = redis.call('ZRANGE', expiries, 0, 1)
    local old = next[1] ~= channel and next[1] or next[2]
    if not old then break end
    all = all - forget(app, old)
  end
  redis.call('HSET', sizes, ':', digits(all))
  for _, key in ipairs({sizes, expiries}) do
    if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
  end
end

