-- revive: a lease that expired comes back, as long as nobody has reaped the incarnation: expiry only makes suspect.
-- KEYS  1 lease  2 workers
-- ARGV  1 wid  2 lease (ms)
-- Returns 1 leased again, 0 not registered (never was, reaped, or withdrawn).
-- Cost O(1). Fenced by the register.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= 0 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 1, 'PX', ARGV[2])
return 1
