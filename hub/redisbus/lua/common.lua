-- Every script has one key, the partition's tag. All keys that it touches start
-- with the tag, and so live in the slot of that key:
--
--   :p              hash: seq, the last sequence number; all, until when everything
--                   is logged; epoch, which data this is (new after every loss);
--                   lost, the epoch after which something was lost; settle, for how
--                   many µs departures are still held back at least, as of settled;
--                   known, the highest number of a logged event that a node knew
--                   after that; gone, the highest number in a log that was removed;
--                   logs, the bytes of all logs; and for each app that has one,
--                   "log <app>": the last number in its log, the bytes of all that
--                   it ever had, and of all before its oldest entry
--   :nodes          set: the nodes that live, each by a name for this partition
--   :restating      set: those that are still saying what they have, after a loss
--   :log:<app>      stream of an app's last messages, by sequence number
--   :subs:<app>     hash: occupied channel -> subscribers
--   :users:<app>    hash: presence channel -> distinct users
--   :sums           hash: presence channel -> sum over its users, to compare
--   :quiet          set: presence channels on which a departure was held back
--   :n:<topic>      hash: node -> its subscribers
--   :m:<topic>      hash: user -> user info
--   :w:<topic>      hash: user -> how many nodes have the user
--   :h:<topic>:<n>  set: the users that node n has on the topic
--   :r:<node>       set: the topics on which a node has anything
--   :x:<topic>      the cached event's frame; of a user's status channel: that the
--                   user's connections were terminated
--   :hooks          hash: occupied channel -> the kinds of occurrences that are noted
--   :occurred:<app> stream of occurrences that were not all told
--   :unnoted:<app>  how many were not noted, since there were too many
--   :woken:<app>    exists shortly after somebody was woken
--   :missed:<topic> exists for a second after the channel was found empty
--   :sizes:<app>    hash: channel -> bytes of its cached event; under a colon, of all
--   :once:<app>:<part> exists for a while when a message of such a request was published
--   :e:<topic>, :hist:<app>, :histories: see history.lua
--   :expiries:<app> sorted set: channel -> when its cached event expires
--   :counted, :due  when subscribers were last told how many they are, and
--                   when they are to be told again
--   :graves         set: dead nodes whose remains are still to be removed
--   :dead:<node>    says that a node was declared dead
--
-- and, in the first partition of those that share a lease:
--
--   :leases         sorted set: lease -> when it ends
--   :lives          hash: lease -> "since beat", unbroken since when
--   :versions       sorted set: lease -> the version of its node
--   :over:<lease>   says that a lease has ended, and was not given up
--   :dying          sorted set: ended lease -> when somebody last took on to bury
--   :sweep          exists for as long as somebody has swept
--
-- and, in a partition of the app, of which deliver.lua writes the first, and webhooks.go the
-- others:
--
--   :deliverer:<app> the node that delivers the app's webhooks
--   :parcels:<app>  hash: id -> delivery that has not arrived
--   :told:<app>     hash: occurrence -> endpoints that were told, while others are not
--   :failed:<app>   hash: id -> delivery that was given up
--   :retried:<app>  set: ids of deliveries that the operator has sent again
--   :recent:<app>   list of tries
--
-- and, in some partition:
--
--   :q:<request>    how a request was answered that is carried out once
--   :k:<token>      the connection that has a client's token, and how far it has come
--
-- and, outside of scripts, in some partition; see owners.go:
--
--   :o:<session>    "node address" of the owner of a client over HTTP
--   :node:<node>    its address, for as long as a lease
--   :secret         in the first partition: the key with which nodes sign
--
-- A topic is <app>:<channel>, and no app has a colon. A node's name starts with
-- its lease and a dot. Times are Redis's own, in microseconds. A sequence number
-- is the time, or one more than the last: so it rises even when Redis has lost
-- everything, or has become another server.
--
-- Arguments have their names from forms.go, which also says what take(…) takes: the
-- next item of a list. Those of all scripts are me, the node; deadline, or 0;
-- log_bytes, how many the logs of a partition may have together. The name of the command that publishes is set
-- before this, and so are log_age, settle_step, bury_again, sweep_pause, dead_kept and
-- wake_pause and history_slack, which times.go tells of, most_occurrences, and history_cost,
-- the bytes that an entry of a history takes beside its text.

local tag = KEYS[1]
deadline, log_bytes = tonumber(deadline), tonumber(log_bytes)
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local seq, log_all, epoch, settle, gone, log_total

local format = string.format

local function digits(n) return format('%.0f', n) end

-- begin loads the partition. It returns why nothing is to be done, or nil.
local function begin()
  if deadline > 0 and now > deadline then return {'late', digits(now)} end
  local p = redis.call('HMGET', tag .. ':p', 'seq', 'all', 'epoch', 'settle', 'gone', 'logs')
  seq, log_all, epoch = tonumber(p[1] or 0), tonumber(p[2] or 0) > now, p[3] or '0'
  settle, gone, log_total = tonumber(p[4] or 0), p[5] or '0', tonumber(p[6] or 0)
end

-- progress counts the time for which departures are held back. Time in which nobody
-- came does not count: then nobody could have come back.
local function progress()
  if settle <= 0 then return end
  local gone = now - tonumber(redis.call('HGET', tag .. ':p', 'settled') or 0)
  settle = settle - math.max(0, math.min(gone, settle_step))
  redis.call('HSET', tag .. ':p', 'settle', digits(settle), 'settled', digits(now))
end

-- admit begins for a node that has to be alive.
local function admit()
  local refusal = begin()
  if refusal then return refusal end
  if redis.call('SISMEMBER', tag .. ':nodes', me) == 1 then return nil end
  return {redis.call('EXISTS', tag .. ':dead:' .. me) == 1 and 'fenced' or 'unknown', digits(now)}
end

-- writable makes a script run that frees memory although Redis is full: only the
-- first write of a script is refused, and this one never is.
local function writable() redis.call('DEL', tag .. ':none') end
