-- acquit: a message that ran alone did not kill its process: what was held against it is forgotten.
-- KEYS  1 crashes  2 crash counts  3 acquitted
-- ARGV  1 sha1 of its bytes  2 how long an acquittal counts (ms)
-- Returns 1 it had died alone before, 0 it had not.
-- If it had, somebody outside killed that process: such acquittals are counted, and reap asks for more proof as long as
-- there are some. Not fenced: that it lived is true, whoever holds the message now.
-- Cost O(log crashes).
local points = string.match(redis.call('HGET', KEYS[2], ARGV[1]) or '', ' (%d+)$')
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
if tonumber(points or 0) == 0 then return 0 end
redis.call('INCR', KEYS[3])
redis.call('PEXPIRE', KEYS[3], ARGV[2])
return 1
