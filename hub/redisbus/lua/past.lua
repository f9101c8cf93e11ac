-- Reads a part of a channel's history.
-- Answers ok, the epoch, the number from which on events are not too old, what is known of
-- the history, or "", a list with the first entry that is wanted, and the entries.
local refusal = begin()
if refusal then return refusal end
local topic = app .. ':' .. channel
local key, from = tag .. ':e:' .. topic, after
local live = digits(math.max(0, now - tonumber(age_us)))
if #from < #live or #from == #live and from < live then from = live end
local first = redis.call('XRANGE', key, from, '+', 'COUNT', 1)
local page
if newest == '1' then
  page = redis.call('XREVRANGE', key, '+', from, 'COUNT', most)
else
  page = redis.call('XRANGE', key, from, '+', 'COUNT', most)
end
return {'ok', epoch, live, redis.call('HGET', tag .. ':hist:' .. app, channel) or '', first, page}
