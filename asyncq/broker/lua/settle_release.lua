-- settle_release: a message goes back to the head of its queue, unchanged. Releasing several: the last one first.
-- KEYS  1 inflight  2 queue, or for what ran alone the suspects
-- ARGV  1 token ('' = nothing to fence: the message was popped)  2 raw
-- Returns 1 done, 0 not ours any more: nothing was changed.
-- Cost O(1). Fenced by the in-flight record, as settle_reschedule.
redis.call('LLEN', KEYS[2])  -- guard
if redis.call('HDEL', KEYS[1], ARGV[1]) == 0 and ARGV[1] ~= '' then return 0 end
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
