-- acquit: a message that ran alone did not kill its process: what was held against it is forgotten.
-- KEYS  1 inflight  2 crashes  3 crash counts  4 acquitted
-- ARGV  1 token, below zero  2 how long an acquittal counts (ms)
-- Returns 1 done, 0 not ours any more: nothing was changed.
-- Sent before its settlement, in the same round trip. If it died alone before, somebody outside killed that process:
-- such acquittals are counted, and reap asks for more proof as long as there are some.
-- Cost O(log crashes). Fenced by the in-flight record.
local raw = redis.call('HGET', KEYS[1], ARGV[1])
if not raw then return 0 end
local sha = redis.sha1hex(raw)
local points = string.match(redis.call('HGET', KEYS[3], sha) or '', ' (%d+)$')
redis.call('ZREM', KEYS[2], sha)
redis.call('HDEL', KEYS[3], sha)
if points and tonumber(points) > 0 then
  redis.call('INCR', KEYS[4])
  redis.call('PEXPIRE', KEYS[4], ARGV[2])
end
return 1
