-- The logs of a partition: one for each app, so that what one app publishes does not
-- push out what another has. Together they may have log_bytes; when they have more, the
-- largest give way, down to an equal share.

-- logs are those that this script has touched.
local logs = {}

local function size(log) return log.bytes - log.oldest end

-- log_of returns an app's log as it stands in what Redis has of it. One that is new begins
-- behind all that are gone: who has come no further than one of those cannot tell what it
-- has missed.
local function log_of(app, written)
  if not logs[app] then
    local last, bytes, oldest = string.match(written, '^(%d+) (%d+) (%d+)$')
    logs[app] = {app = app, key = tag .. ':log:' .. app, last = last or gone,
      bytes = tonumber(bytes or 0), oldest = tonumber(oldest or 0)}
  end
  return logs[app]
end

-- open_log reads an app's log, if that was not done.
local function open_log(app)
  if logs[app] then return logs[app] end
  return log_of(app, redis.call('HGET', tag .. ':p', 'log ' .. app) or '')
end

local function close_log(log)
  redis.call('HSET', tag .. ':p', 'log ' .. log.app, format('%s %.0f %.0f', log.last, log.bytes, log.oldest),
    'logs', digits(log_total))
end

-- each_log visits the apps that have one, in what HGETALL has answered.
local function each_log(fields, visit)
  for i = 1, #fields, 2 do
    local app = string.match(fields[i], '^log (.*)$')
    if app then visit(app, fields[i + 1]) end
  end
end

-- measure finds out what a log still has.
local function measure(log)
  local first = redis.call('XRANGE', log.key, '-', '+', 'COUNT', 1)[1]
  local oldest = first and tonumber(string.match(first[2][2], '^%d+ (%d+) ')) or log.bytes
  log_total, log.oldest = log_total - (oldest - log.oldest), oldest
end

-- shorten keeps a log from having more bytes than most.
local function shorten(log, most)
  redis.call('XTRIM', log.key, 'MAXLEN', math.floor(redis.call('XLEN', log.key) * most / size(log)))
  measure(log)
  if size(log) > most then -- its newest are its largest
    redis.call('DEL', log.key)
    measure(log)
  end
end

-- fair_share is what each of some sizes may have so that all together have no more than
-- most, and those that have less than others keep all.
local function fair_share(sizes, most)
  table.sort(sizes)
  for i, bytes in ipairs(sizes) do
    local share = most / (#sizes - i + 1)
    if bytes > share then return share end
    most = most - bytes
  end
  return math.huge
end

-- bound keeps the logs from having more bytes than they may. It makes some room, so that
-- it has nothing to do for a while.
local function bound()
  local all, sizes = {}, {}
  each_log(redis.call('HGETALL', tag .. ':p'), function(app, written)
    local log = log_of(app, written)
    measure(log)
    all[#all + 1], sizes[#sizes + 1] = log, size(log)
  end)
  local share = fair_share(sizes, log_bytes * 7 / 8)
  for _, log in ipairs(all) do
    if size(log) > share then shorten(log, share) end
    close_log(log)
  end
end

-- append puts a message into its app's log, behind the number of the one before it.
local function append(app, number, topic, body)
  local log = open_log(app)
  local entry = format('%s %.0f %d:', log.last, log.bytes, #topic) .. topic .. body
  redis.call('XADD', log.key, 'MINID', '~', digits(now - log_age), number .. '-0', 'm', entry)
  log.bytes, log.last, log_total = log.bytes + #entry + 64, number, log_total + #entry + 64
  close_log(log)
  if log_total > log_bytes then bound() end
end

-- sweep_log removes what is older than a log must be, and a log that has nothing.
local function sweep_log(app, written)
  local log = log_of(app, written)
  redis.call('XTRIM', log.key, 'MINID', digits(now - log_age))
  measure(log)
  if size(log) > 0 or tonumber(log.last) > now - log_age then return close_log(log) end
  if tonumber(log.last) > tonumber(gone) then gone = log.last end
  redis.call('HSET', tag .. ':p', 'gone', gone, 'logs', digits(log_total))
  redis.call('HDEL', tag .. ':p', 'log ' .. app)
end
