-- What the scripts that change occupancy share. What a node says is absolute, so
-- saying it twice changes nothing; what follows from it is announced here.

local function string_of(s) return #s .. ':' .. s end

local function split(topic) return string.match(topic, '^([^:]*):(.*)$') end

local is_settling

-- settling says whether nodes may still be coming back after a loss.
local function settling()
  if is_settling == nil then
    is_settling = settle > 0 or redis.call('EXISTS', tag .. ':restating') == 1
  end
  return is_settling
end

-- opened are the channels of which it is noted already that they are occupied: before the
-- users who come.
local opened = {}

local function tell_opening(app, channel, hooks, flags)
  if hooks == 0 or tonumber(redis.call('HGET', tag .. ':subs:' .. app, channel) or 0) > 0 then return end
  opened[app .. ':' .. channel] = true
  if wants(hooks, occupied) then occur(app, channel, occupied, flags) end
end

-- tell_subscribers notes what follows from another number of subscribers.
local function tell_subscribers(app, channel, total, before, hooks, flags)
  local topic = app .. ':' .. channel
  if total > 0 and before <= 0 then
    redis.call('HSET', tag .. ':hooks', topic, hooks)
    if not opened[topic] and wants(hooks, occupied) then occur(app, channel, occupied, flags) end
  elseif total <= 0 and (before > 0 or opened[topic]) then
    redis.call('HDEL', tag .. ':hooks', topic)
    if wants(hooks, vacated) then occur(app, channel, vacated, flags .. (settling() and 'u' or '')) end
  end
  if total ~= before and wants(hooks, subscribers_count) and string.sub(channel, 1, 9) ~= 'presence-' then
    occur(app, channel, subscribers_count, flags, 'n', math.max(total, 0))
  end
end

-- set notes a node's subscribers on a channel and returns those of all nodes. Flags say how
-- it came about that they are others; hooks, what is noted of it.
local function set(node, app, channel, n, hooks, flags)
  local topic = app .. ':' .. channel
  local counts, refs, all = tag .. ':n:' .. topic, tag .. ':r:' .. node, tag .. ':subs:' .. app
  local before = tonumber(redis.call('HGET', counts, node) or 0)
  if n > 0 then
    redis.call('HSET', counts, node, n)
    redis.call('SADD', refs, topic)
  else
    redis.call('HDEL', counts, node)
    if redis.call('EXISTS', tag .. ':h:' .. topic .. ':' .. node) == 0 then
      redis.call('SREM', refs, topic)
    end
  end
  local total = redis.call('HINCRBY', all, channel, n - before)
  if total <= 0 then
    redis.call('HDEL', all, channel)
    redis.call('HDEL', tag .. ':counted', topic)
  end
  if hooks > 0 then tell_subscribers(app, channel, total, total - n + before, hooks, flags) end
  return total
end

-- sum adds a user to what nodes compare their rosters by, or takes one away.
local function sum(topic, user, info, sign)
  local n = tonumber(string.sub(redis.sha1hex(string_of(user) .. info), 1, 12), 16)
  redis.call('HINCRBY', tag .. ':sums', topic, digits(sign * n))
end

-- enter puts a user of a node on the roster, and announces one who is new there.
-- It returns false when there is no room.
local function enter(node, app, channel, user, info, max, hooks, flags)
  local topic = app .. ':' .. channel
  local members = tag .. ':m:' .. topic
  local before = redis.call('HGET', members, user)
  if max > 0 and not before and redis.call('HLEN', members) >= max then return false end
  if before ~= info then
    redis.call('HSET', members, user, info)
    if before then sum(topic, user, before, -1) end
    sum(topic, user, info, 1)
  end
  if redis.call('SADD', tag .. ':h:' .. topic .. ':' .. node, user) == 0 then return true end
  redis.call('SADD', tag .. ':r:' .. node, topic)
  if redis.call('HINCRBY', tag .. ':w:' .. topic, user, 1) == 1 then
    redis.call('HSET', tag .. ':users:' .. app, channel, redis.call('HLEN', members))
    send(app, channel, 'i' .. string_of(user) .. info)
    if wants(hooks, member_added) then occur(app, channel, member_added, flags, 'u', user) end
  end
  return true
end

-- exit takes a user of a node off the roster, and announces one who is gone from
-- all nodes. While nodes come back after a loss nothing is announced: the user
-- may be with one that has not said so yet. What the roster adds up to is told then.
local function exit(node, app, channel, user, hooks, flags)
  local topic = app .. ':' .. channel
  if redis.call('SREM', tag .. ':h:' .. topic .. ':' .. node, user) == 0 then return end
  if redis.call('HINCRBY', tag .. ':w:' .. topic, user, -1) > 0 then return end
  local members, users = tag .. ':m:' .. topic, tag .. ':users:' .. app
  local info = redis.call('HGET', members, user) or ''
  redis.call('HDEL', tag .. ':w:' .. topic, user)
  redis.call('HDEL', members, user)
  local left = redis.call('HLEN', members)
  if left > 0 then
    redis.call('HSET', users, channel, left)
    sum(topic, user, info, -1)
  else
    redis.call('HDEL', users, channel)
    redis.call('HDEL', tag .. ':sums', topic)
  end
  if settling() then
    redis.call('SADD', tag .. ':quiet', topic)
    flags = flags .. 'u'
  else
    send(app, channel, 'o' .. string_of(user))
  end
  if wants(hooks, member_removed) then occur(app, channel, member_removed, flags, 'u', user) end
end

-- speak tells what rosters add up to on which departures were held back, once all
-- nodes have come back.
local function speak()
  if settling() then return end
  for _, topic in ipairs(redis.call('SPOP', tag .. ':quiet', 100)) do
    local app, channel = split(topic)
    send(app, channel, 's' .. (redis.call('HGET', tag .. ':sums', topic) or '0'))
  end
end

-- Up to busy subscribers are told at once how many they are, more of them once
-- in an interval.
local busy, interval = 100, 5000000

-- count tells the subscribers how many they are, now or when it is time.
local function count(app, channel, total)
  if total <= 0 then return end
  local topic, counted = app .. ':' .. channel, tag .. ':counted'
  local last = tonumber(redis.call('HGET', counted, topic) or 0)
  if total > busy and now - last < interval then
    redis.call('ZADD', tag .. ':due', 'NX', digits(last + interval), topic)
    return
  end
  redis.call('HSET', counted, topic, digits(now))
  redis.call('ZREM', tag .. ':due', topic)
  send(app, channel, 'c' .. total)
end
