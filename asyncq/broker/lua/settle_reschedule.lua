-- settle_reschedule: a message waits in `scheduled` and comes back after a delay.
-- KEYS  1 inflight  2 scheduled  3 payloads  4 due
-- ARGV  1 token ('' = nothing to fence: the message was popped)  2 unique id  3 delay (ms)  4 raw
-- Returns 1 done, 0 not ours any more: nothing was changed.
-- Fenced by the in-flight record: HDEL first, and on only if the token was there. With an empty token the HDEL of a
-- field that never exists is the harmless first write. One script for both, so that a retry is one thing.
-- Cost O(log scheduled).
redis.call('ZCARD', KEYS[2])  -- guard
redis.call('HLEN', KEYS[3])  -- guard
redis.call('LLEN', KEYS[4])  -- guard
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 and ARGV[1] ~= '' then return 0 end
schedule(KEYS[2], KEYS[3], KEYS[4], ARGV[2], tonumber(ARGV[3]), ARGV[4])
return 1
