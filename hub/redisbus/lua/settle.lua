-- A node has said all that it has, under its name of now, or asks whether all
-- others have.
-- The names that it had before are dead, and so are all others on its lease: a
-- replica that was behind may have some again.
-- Answers ok, 1 = nodes may still be coming back, the highest logged number that
-- anybody knew before the loss, the number of graves.
local refusal = admit()
if refusal then return refusal end
writable()
progress()
local function bury(old)
  redis.call('SREM', tag .. ':nodes', old)
  redis.call('SREM', tag .. ':restating', old)
  redis.call('SET', tag .. ':dead:' .. old, '', 'PX', dead_kept)
  redis.call('SADD', tag .. ':graves', old)
end
if done == '1' then
  redis.call('SREM', tag .. ':restating', me)
  local lease = string.match(me, '^[^.]*%.')
  for _, node in ipairs(redis.call('SMEMBERS', tag .. ':nodes')) do
    if node ~= me and string.sub(node, 1, #lease) == lease then bury(node) end
  end
  while at <= #ARGV do
    take(old)
    bury(old_name)
  end
end
speak()
return {'ok', settling() and '1' or '0', redis.call('HGET', tag .. ':p', 'known') or '0',
  redis.call('SCARD', tag .. ':graves')}
