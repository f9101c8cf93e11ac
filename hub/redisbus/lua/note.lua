-- Notes how far the owners of tokens have come, unless others own them by now.
-- Answers ok.
local refusal = begin()
if refusal then return refusal end
for _ = 1, tonumber(marks) do
  take(mark)
  local key = tag .. ':k:' .. token
  if redis.call('GETRANGE', key, 0, #owner - 1) == owner then
    redis.call('SET', key, owner .. '1' .. text, 'PX', life_ms)
  end
end
return {'ok'}
