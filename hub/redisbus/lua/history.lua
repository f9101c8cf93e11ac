-- The histories of an app's channels. What a partition has of them:
--
--   :e:<topic>      stream of a channel's events, by sequence number
--   :hist:<app>     hash: channel -> the number of its last event; the bytes of all that
--                   it ever had, and of all before its oldest; the highest number that was
--                   erased; for how long events are kept. Under a colon: the bytes of all
--   :histories      set: the apps that have any
--
-- An entry begins with the number of the event before it, and with the bytes of all before
-- it: so whoever reads finds out whether anything is missing.

local function history_of(app, channel)
  local h = {app = app, channel = channel, key = tag .. ':e:' .. app .. ':' .. channel, all = tag .. ':hist:' .. app}
  local found = redis.call('HMGET', h.all, channel, ':')
  local last, bytes, oldest, erased, age = string.match(found[1] or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  h.last, h.bytes, h.oldest, h.erased, h.age = last, tonumber(bytes or 0), tonumber(oldest or 0), erased or '0', tonumber(age or 0)
  h.total, h.is_first = tonumber(found[2] or 0), not found[2]
  return h
end

local function close_history(h)
  redis.call('HSET', h.all, h.channel, format('%s %.0f %.0f %s %.0f', h.last, h.bytes, h.oldest, h.erased, h.age),
    ':', digits(h.total))
end

-- oldest_entries are the first of a history, by number and by the bytes before them.
local function oldest_entries(h, count)
  local entries = {}
  for i, e in ipairs(redis.call('XRANGE', h.key, '-', '+', 'COUNT', count)) do
    entries[i] = {number = string.match(e[1], '^%d+'), before = tonumber(string.match(e[2][2], '^%d+ (%d+):'))}
  end
  return entries
end

-- begin_at says how many bytes there are before the oldest event.
local function begin_at(h, before) h.total, h.oldest = h.total - (before - h.oldest), before end

-- shorten_history removes what is too old, or more than there is room for. The newest
-- stays.
local function shorten_history(h, most_bytes)
  local live = digits(now - h.age)
  local function fits(e) return e.number == h.last or e.number >= live and h.bytes - e.before <= most_bytes end
  local first = oldest_entries(h, 1)[1]
  while not fits(first) do
    for _, e in ipairs(oldest_entries(h, 64)) do
      first = e
      if fits(e) then break end
    end
    redis.call('XTRIM', h.key, 'MINID', first.number)
  end
  begin_at(h, first.before)
end

-- remember puts an event into a history, for which there is room.
local function remember(h, number, body, most_events, age, most_bytes)
  h.age = age
  -- Nobody comes back who has heard of anything older than this.
  h.last = h.last or digits(math.max(0, now - age - history_slack))
  local entry = format('%s %.0f:', h.last, h.bytes) .. body
  redis.call('XADD', h.key, 'MAXLEN', most_events, number .. '-0', 'm', entry)
  redis.call('PEXPIRE', h.key, math.ceil((age + history_slack) / 1000))
  if h.is_first then redis.call('SADD', tag .. ':histories', h.app) end
  local size = #entry + history_cost
  h.last, h.bytes, h.total = number, h.bytes + size, h.total + size
  shorten_history(h, most_bytes)
  close_history(h)
end

-- erase removes an event, or all, and returns how many that were.
local function erase(h, number)
  if not h.last then return 0 end
  local count
  if number == '' then
    count, number = redis.call('XLEN', h.key), h.last
    redis.call('DEL', h.key)
  else
    count = redis.call('XDEL', h.key, number .. '-0')
  end
  if count == 0 then return 0 end
  if number > h.erased then h.erased = number end
  local first = oldest_entries(h, 1)[1]
  begin_at(h, first and first.before or h.bytes)
  close_history(h)
  return count
end

-- forget_histories removes what is known of channels that have had no event for so long
-- that nobody can ask what he has missed.
local function forget_histories()
  for _, app in ipairs(redis.call('SRANDMEMBER', tag .. ':histories', 4)) do
    local some = redis.call('HRANDFIELD', tag .. ':hist:' .. app, 32)
    for _, channel in ipairs(some) do
      local h = channel ~= ':' and history_of(app, channel)
      if h and h.last and tonumber(h.last) < now - h.age - history_slack then
        begin_at(h, h.bytes)
        redis.call('DEL', h.key)
        redis.call('HDEL', h.all, channel)
        redis.call('HSET', h.all, ':', digits(h.total))
      end
    end
    if redis.call('HLEN', tag .. ':hist:' .. app) <= 1 then
      redis.call('DEL', tag .. ':hist:' .. app)
      redis.call('SREM', tag .. ':histories', app)
    end
  end
end
