-- enqueue: messages that are not a plain RPUSH: guarded against being enqueued twice, delayed, or both.
-- KEYS  1 ready  2 scheduled  3 payloads  4 due  5.. one guard per message, or none at all
-- ARGV  1 delay (ms), 0 = ready at once  2 life of a guard (ms)  3.. for each message: unique id, raw
-- Returns how many were enqueued; the others were enqueued before: their guard was there.
-- A guard and its message are written by one script, so they share their fate whatever becomes of the reply. The first
-- write may grow memory: at maxmemory a producer is to be refused.
-- Cost O(messages * log scheduled).
redis.call('LLEN', KEYS[1])  -- guard
redis.call('ZCARD', KEYS[2])  -- guard
redis.call('HLEN', KEYS[3])  -- guard
redis.call('LLEN', KEYS[4])  -- guard
local delay_ms, enqueued = tonumber(ARGV[1]), 0
for k = 1, (#ARGV - 2) / 2 do
  local unique, raw = ARGV[2 * k + 1], ARGV[2 * k + 2]
  if #KEYS == 4 or redis.call('SET', KEYS[4 + k], 1, 'NX', 'PX', ARGV[2]) then
    if delay_ms > 0 then
      schedule(KEYS[2], KEYS[3], KEYS[4], unique, delay_ms, raw)
    else
      redis.call('RPUSH', KEYS[1], raw)
    end
    enqueued = enqueued + 1
  end
end
return enqueued
