-- register: enter an incarnation into the queue's register with a fresh lease.
-- KEYS  1 lease  2 workers
-- ARGV  1 wid  2 lease (ms)
-- Returns 1 registered, 0 refused: this incarnation was reaped before (a late or repeated request must not revive it).
-- Cost O(log workers).
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if score and tonumber(score) > 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('SET', KEYS[1], 1, 'PX', ARGV[2])
return 1
