-- settle_dead: a message is given up and kept for people.
-- KEYS  1 inflight  2 dead  3 dead:records
-- ARGV  1 token ('' = nothing to fence: the message was popped)  2 unique id  3 header (JSON object text, not empty)
--       4 raw  5 dead letters kept (count)  6 dead letters kept (ms)
-- Returns 1 done, 0 not ours any more: nothing was changed.
-- Fenced by the in-flight record, as settle_reschedule. The record is the header with `at_ms`, a newline, the raw bytes.
-- Cost O(log dead letters), plus at most 200 forgotten.
redis.call('ZCARD', KEYS[2])  -- guard
redis.call('HLEN', KEYS[3])  -- guard
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 and ARGV[1] ~= '' then return 0 end
bury(KEYS[2], KEYS[3], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]))
return 1
