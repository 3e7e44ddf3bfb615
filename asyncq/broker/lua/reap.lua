-- reap: hand back everything an incarnation held, and fence it off for good.
-- KEYS  1 queue  2 inflight  3 inbox  4 lease  5 workers
-- ARGV  1 wid  2 forced (1: its process is known to be dead; 0: only if its lease is missing)  3 tombstone (ms)
-- Returns how many messages went back to the head of the queue (0 or more), -1 not in the register,
--         -2 refused: it holds a lease.
-- The tombstone stays in the register, so that what a cut-off connection of the dead moves into the inbox afterwards is
-- found by reaping again; it is forgotten when its time has passed and nothing was left.
-- Cost O(messages held).
local score = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not score then return -1 end
if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[4]) == 1 then return -2 end
local count = hand_back(KEYS[1], KEYS[3], KEYS[2])
redis.call('DEL', KEYS[4])
local now, until_ms = now_ms(), tonumber(score)
if until_ms == 0 then
  redis.call('ZADD', KEYS[5], now + tonumber(ARGV[3]), ARGV[1])
elseif until_ms <= now and count == 0 then
  redis.call('ZREM', KEYS[5], ARGV[1])
end
return count
