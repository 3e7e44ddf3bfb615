-- enqueue: messages that are not a plain RPUSH: guarded against being enqueued twice, waiting, or both.
-- KEYS  1 ready  2 scheduled  3 payloads  4 due  5.. one guard per message, or none at all
-- ARGV  1 life of a guard (ms)  2.. for each message: unique id, when, raw
--       when = '+<ms>' from now or '<ms>' since the epoch, on Redis' own clock either way; not in the future = at once
-- Returns how many were enqueued; the others were enqueued before: their guard was there.
-- A guard and its message are written by one script, so they share their fate whatever becomes of the reply. The first
-- write may grow memory: at maxmemory a producer is to be refused.
-- Cost O(messages * log scheduled).
redis.call('LLEN', KEYS[1])  -- guard
redis.call('ZCARD', KEYS[2])  -- guard
redis.call('HLEN', KEYS[3])  -- guard
redis.call('LLEN', KEYS[4])  -- guard
local now, enqueued = now_ms(), 0
for k = 1, (#ARGV - 1) / 3 do
  local unique, when, raw = ARGV[3 * k - 1], ARGV[3 * k], ARGV[3 * k + 1]
  if #KEYS == 4 or redis.call('SET', KEYS[4 + k], 1, 'NX', 'PX', ARGV[1]) then
    local due_ms = tonumber(when)
    if string.sub(when, 1, 1) == '+' then due_ms = now + tonumber(string.sub(when, 2)) end
    if due_ms > now then
      schedule_at(KEYS[2], KEYS[3], KEYS[4], unique, due_ms, raw)
    else
      redis.call('RPUSH', KEYS[1], raw)
    end
    enqueued = enqueued + 1
  end
end
return enqueued
