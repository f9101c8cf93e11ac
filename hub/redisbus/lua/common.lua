-- Every script has one key, the partition's tag. All keys that it touches start
-- with the tag, and so live in the slot of that key:
--
--   :p              hash: seq, the last sequence number; log, the last one in the
--                   log; settle, until when departures are not announced; all,
--                   until when everything is logged; and
--                   n:<node>, each living node's lease as "expires since beat"
--   :log            stream of the last messages, by sequence number
--   :subs:<app>     hash: occupied channel -> subscribers
--   :users:<app>    hash: presence channel -> distinct users
--   :n:<topic>      hash: node -> its subscribers
--   :m:<topic>      hash: user -> user info
--   :w:<topic>      hash: user -> how many nodes have the user
--   :h:<topic>:<n>  set: the users that node n has on the topic
--   :r:<node>       set: the topics on which a node has anything
--   :x:<topic>      the cached event's frame
--   :counted, :due  when subscribers were last told how many they are, and
--                   when they are to be told again
--   :graves         set: dead nodes whose remains are still to be removed
--   :dead:<node>    says that a node was declared dead
--
-- A topic is <app>:<channel>, and no app has a colon. Times are Redis's own, in
-- microseconds. A sequence number is the time, or one more than the last: so it
-- rises even when Redis has lost everything, or has become another server.

local tag, me, deadline = KEYS[1], ARGV[1], tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local seq, logged, settling, log_all

local function digits(n) return string.format('%.0f', n) end

-- admit loads the partition. It returns why nothing is to be done, or nil.
local function admit()
  if deadline > 0 and now > deadline then return {'late', digits(now)} end
  local p = redis.call('HMGET', tag .. ':p', 'seq', 'log', 'settle', 'all', 'n:' .. me)
  seq, logged = tonumber(p[1] or 0), p[2] or '0'
  settling, log_all = tonumber(p[3] or 0) > now, tonumber(p[4] or 0) > now
  if p[5] then return nil end
  return {redis.call('EXISTS', tag .. ':dead:' .. me) == 1 and 'fenced' or 'unknown'}
end

-- The log keeps so many bytes of a partition, about.
local log_bytes = 4194304

-- send gives a message its number and publishes it. Where somebody listens, or
-- would if its connection were up, it goes into the log too, behind the number
-- of the entry before it. When Redis may have forgotten who would, everything
-- does. The number is written before anything is published: a Redis that refuses
-- writes refuses the first, and then nobody has heard of what was refused.
local function send(app, channel, body)
  seq = math.max(seq + 1, now)
  local number, topic = digits(seq), app .. ':' .. channel
  redis.call('HSET', tag .. ':p', 'seq', number)
  local heard = redis.call('PUBLISH', tag .. ':t:' .. topic, number .. body)
  if heard == 0 and not log_all and redis.call('HEXISTS', tag .. ':subs:' .. app, channel) == 0 then
    return
  end
  local length = math.max(256, math.min(8192, math.floor(log_bytes / (#body + 128))))
  redis.call('XADD', tag .. ':log', 'MAXLEN', '~', length, number .. '-0',
    'm', logged .. ' ' .. #topic .. ':' .. topic .. body)
  redis.call('HSET', tag .. ':p', 'log', number)
  logged = number
end
