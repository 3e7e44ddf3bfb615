-- withdraw: an incarnation leaves in order; what it still holds goes back to the head of the queue (what ran
-- alone: of the suspects) and is not accused.
-- KEYS  1 queue  2 inflight  3 inbox  4 lease  5 workers  6 suspects
-- ARGV  1 wid  2 tombstone (ms): 0 forgets the incarnation at once; more keeps it in the register like a reap, for a
--       worker one of whose blocking moves ended unclearly and may still land in the inbox
-- Returns how many messages went back.
-- Cost O(messages held). Does not touch the tombstone that a reap has set.
local score = redis.call('ZSCORE', KEYS[5], ARGV[1])
local count = hand_back(KEYS[1], KEYS[3], KEYS[2], KEYS[6])
redis.call('DEL', KEYS[4])
if score and tonumber(score) == 0 then
  if ARGV[2] == '0' then
    redis.call('ZREM', KEYS[5], ARGV[1])
  else
    redis.call('ZADD', KEYS[5], now_ms() + tonumber(ARGV[2]), ARGV[1])
  end
end
return count
