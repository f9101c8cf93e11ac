-- Removes an event from a channel's history, or all.
-- Answers ok, how many there were.
local refusal = begin()
if refusal then return refusal end
writable()
return {'ok', erase(history_of(app, channel), number)}
