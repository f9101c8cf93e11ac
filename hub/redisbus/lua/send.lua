-- send gives a message its number, the last of so many, which is higher than the epoch, and
-- publishes it. Where somebody listens, or would if its connection were up, it goes into the
-- app's log, too. When Redis may have forgotten who would, everything does. The number is
-- written before anything is published: a Redis that refuses writes refuses the first, and
-- then nobody has heard of what was refused. It returns the number if it was logged.
local function send(app, channel, body, count)
  seq = math.max(seq + 1, now, tonumber(epoch) + 1) + (count or 1) - 1
  local number, topic = digits(seq), app .. ':' .. channel
  redis.call('HSET', tag .. ':p', 'seq', number)
  local heard = redis.call(publish, tag .. ':t:' .. topic, number .. body)
  if heard == 0 and not log_all and redis.call('HEXISTS', tag .. ':subs:' .. app, channel) == 0 then
    return nil
  end
  append(app, number, topic, body)
  return number
end
