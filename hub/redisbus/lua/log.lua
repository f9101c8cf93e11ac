-- The logs of a partition: one for each app, so that what one app publishes does not
-- push out what another has. Together they may have log_bytes; when they have more, the
-- largest give way, down to an equal share.

-- logs are those that this script has touched, and total is the bytes of all.
local logs, total = {}, nil

local function size(log) return log.bytes - log.oldest end

-- log_of returns an app's log as it stands in what Redis has of it.
local function log_of(app, written)
  if not logs[app] then
    local last, bytes, oldest = string.match(written or '', '^(%d+) (%d+) (%d+)$')
    logs[app] = {app = app, key = tag .. ':log:' .. app, last = last or gone,
      bytes = tonumber(bytes or 0), oldest = tonumber(oldest or 0)}
  end
  return logs[app]
end

-- open_log reads an app's log. One that is new begins behind all that are gone: who
-- has come no further than one of those cannot tell what it has missed.
local function open_log(app)
  if logs[app] and total then return logs[app] end
  local found = redis.call('HMGET', tag .. ':logs', app, ':')
  total = total or tonumber(found[2] or 0)
  return log_of(app, found[1])
end

local function close_log(log)
  redis.call('HSET', tag .. ':logs', log.app, log.last .. ' ' .. digits(log.bytes) .. ' ' .. digits(log.oldest),
    ':', digits(total))
end

-- measure finds out what a log still has.
local function measure(log)
  local first = redis.call('XRANGE', log.key, '-', '+', 'COUNT', 1)[1]
  local oldest = first and tonumber(string.match(first[2][2], '^%d+ (%d+) ')) or log.bytes
  total, log.oldest = total - (oldest - log.oldest), oldest
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
  local found, all, sizes = redis.call('HGETALL', tag .. ':logs'), {}, {}
  for i = 1, #found, 2 do
    if found[i] ~= ':' then
      local log = log_of(found[i], found[i + 1])
      measure(log)
      all[#all + 1], sizes[#sizes + 1] = log, size(log)
    end
  end
  local share = fair_share(sizes, log_bytes * 7 / 8)
  for _, log in ipairs(all) do
    if size(log) > share then shorten(log, share) end
    close_log(log)
  end
end

-- append puts a message into its app's log, behind the number of the one before it.
local function append(app, number, topic, body)
  local log = open_log(app)
  local entry = log.last .. ' ' .. digits(log.bytes) .. ' ' .. #topic .. ':' .. topic .. body
  redis.call('XADD', log.key, 'MINID', '~', digits(now - log_age), number .. '-0', 'm', entry)
  log.bytes, log.last, total = log.bytes + #entry + 64, number, total + #entry + 64
  close_log(log)
  if total > log_bytes then bound() end
end

-- sweep_log removes what is older than a log must be, and a log that has nothing.
local function sweep_log(app)
  local log = open_log(app)
  redis.call('XTRIM', log.key, 'MINID', digits(now - log_age))
  measure(log)
  if size(log) > 0 or tonumber(log.last) > now - log_age then return close_log(log) end
  if tonumber(log.last) > tonumber(gone) then
    gone = log.last
    redis.call('HSET', tag .. ':p', 'gone', gone)
  end
  redis.call('HDEL', tag .. ':logs', app)
  redis.call('HSET', tag .. ':logs', ':', digits(total))
end
