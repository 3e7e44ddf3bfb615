-- promote: what is due moves from `scheduled` to the tail of the queue, earliest first.
-- KEYS  1 scheduled  2 payloads  3 queue
-- ARGV  1 at most this many (1..500)
-- Returns {moved, milliseconds until the next is due}: 0 = more is due now, -1 = nothing waits.
-- Cost O(log scheduled + moved). Atomic, so any number of promoters may run.
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #first == 0 then return {0, -1} end  -- an idle queue is asked often, with as few commands as can be
local now = now_ms()
if tonumber(first[2]) > now then return {0, tonumber(first[2]) - now} end
local ids = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[1])
local raws = {}
redis.call('LLEN', KEYS[3])  -- guard
local found = redis.call('HMGET', KEYS[2], unpack(ids))
for k = 1, #ids do
  if found[k] then raws[#raws + 1] = found[k] end
end
redis.call('ZREM', KEYS[1], unpack(ids))
redis.call('HDEL', KEYS[2], unpack(ids))
if #raws > 0 then redis.call('RPUSH', KEYS[3], unpack(raws)) end
local next_due = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if #next_due == 0 then return {#raws, -1} end
return {#raws, math.max(tonumber(next_due[2]) - now, 0)}
