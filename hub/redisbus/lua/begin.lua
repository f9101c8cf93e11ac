-- Notes that a request is carried out which is to be carried out once.
-- Answers ok, and then: new; begun, if it was not finished; answered and the answer; other,
-- if what was to be published is not the same.
-- What stands under :q:<request> is the hash of that, 1 once it is answered, the answer.
local refusal = begin()
if refusal then return refusal end
local key = tag .. ':q:' .. request
local before = redis.call('GET', key)
if not before then
  redis.call('SET', key, body_hash .. '0', 'PX', once_ms)
  return {'ok', 'new', ''}
end
if string.sub(before, 1, #body_hash) ~= body_hash then return {'ok', 'other', ''} end
if string.sub(before, #body_hash + 1, #body_hash + 1) == '0' then return {'ok', 'begun', ''} end
return {'ok', 'answered', string.sub(before, #body_hash + 2)}
