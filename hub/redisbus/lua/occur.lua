-- Occurrences, of which an app is told by webhooks. Kinds are the bits of hub.Hooks.
local occupied, vacated, member_added, member_removed, client_event, cache_miss, subscribers_count = 1, 2, 4, 8, 16, 32, 64

local function wants(hooks, kind) return hooks > 0 and bit.band(hooks, kind) > 0 end

-- occur notes one in the app's stream, with what else is known of it, and wakes the node
-- that delivers. Flags: b = a connection has ended, u = nodes are coming back after a loss,
-- a = Redis had only forgotten it.
local function occur(app, channel, kind, flags, ...)
  local stream = tag .. ':occurred:' .. app
  if redis.call('XLEN', stream) >= most_occurrences then
    redis.call('INCR', tag .. ':unnoted:' .. app)
    return
  end
  redis.call('XADD', stream, '*', 'k', kind, 'c', channel, 'f', flags, 't', digits(now), ...)
  if redis.call('SET', tag .. ':woken:' .. app, '', 'NX', 'PX', wake_pause) then
    seq = math.max(seq + 1, now)
    redis.call('HSET', tag .. ':p', 'seq', digits(seq))
    redis.call(publish, tag .. ':t::#hooks', digits(seq) .. 'w' .. app)
  end
end
