-- take: messages from the head of the queue into the in-flight record of one incarnation.
-- KEYS  1 queue  2 inflight  3 inbox  4 lease  5 workers  6 dead  7 dead:records  8 suspects  9 accused  10 killed
-- ARGV  1 wid  2 first token  3 room (0..1000)  4 ahead (0..1000)  5 lease (ms)  6 size limit (bytes)
--       7 dead letters kept (count)  8 dead letters kept (ms)
--       9 alone: 1 takes one suspect and nothing else  10 the longest that calm is waited for (ms)
--       11 seasoned: 1 = this incarnation has lived for as long as calm takes, and so may run the accused
-- Returns {first token, oversized, suspects left, raw...}: message k is recorded under token first+k-1; `oversized` went
--         to the dead letters and are not shipped. {-1}: not registered; nothing was taken, the inbox went back.
-- A suspect is taken only while nothing else is in flight here, and recorded under the first token below zero, so that
-- a reap knows that it ran alone. What is accused (it died alone before) counts and comes only in calm, see reap, and
-- only to who has seen it: where every new process is killed at once, nobody has.
-- What the blocking move left in the inbox goes back to the head first and is then taken like everything else, so the
-- order is kept and what there is no room for lies where others find it.
-- Look-ahead is bounded by the fair share: list length / registered incarnations.
-- Cost O(messages taken + inbox). Fenced by the register.
local score = redis.call('ZSCORE', KEYS[5], ARGV[1])
hand_back(KEYS[1], KEYS[3])
if not score or tonumber(score) ~= 0 then return {-1} end
if redis.call('EXISTS', KEYS[4]) == 0 then redis.call('SET', KEYS[4], 1, 'PX', ARGV[5]) end

local suspects, accused = redis.call('LLEN', KEYS[8]), redis.call('LLEN', KEYS[9])
if accused > 0 and not (ARGV[11] == '1' and is_calm(KEYS[10], now_ms(), tonumber(ARGV[10]))) then accused = 0 end
local reply = {tonumber(ARGV[2]), 0, suspects + accused}
if ARGV[9] == '1' then
  if reply[3] > 0 and redis.call('HLEN', KEYS[2]) == 0 then
    local raw = redis.call('LPOP', suspects > 0 and KEYS[8] or KEYS[9])
    redis.call('HSET', KEYS[2], -reply[1], raw)
    reply[3], reply[4] = reply[3] - 1, raw
  end
  return reply
end

local room, ahead = tonumber(ARGV[3]), tonumber(ARGV[4])
if ahead > 0 then
  local live = math.max(redis.call('ZCOUNT', KEYS[5], 0, 0), 1)
  local share = math.ceil(redis.call('LLEN', KEYS[1]) / live)
  ahead = math.min(ahead, math.max(share - room, 0))
end
local wanted = math.min(room + ahead, 1000)
if wanted < 1 then return reply end

redis.call('HLEN', KEYS[2])  -- guard
redis.call('ZCARD', KEYS[6])  -- guard
redis.call('HLEN', KEYS[7])  -- guard
local popped = redis.call('LPOP', KEYS[1], wanted) or {}
local limit, token, record = tonumber(ARGV[6]), reply[1], {}
for k = 1, #popped do
  local raw = popped[k]
  if #raw > limit then
    reply[2] = reply[2] + 1
    bury(KEYS[6], KEYS[7], ARGV[1] .. ':' .. ARGV[2] .. '.' .. k,
      string.format('{"reason":"oversized","size_bytes":%d,"sha1":"%s"}', #raw, redis.sha1hex(raw)),
      string.sub(raw, 1, 65536), tonumber(ARGV[7]), tonumber(ARGV[8]))
  else
    reply[#reply + 1] = raw
    record[#record + 1] = token
    record[#record + 1] = raw
    token = token + 1
  end
  if #record >= 500 or (k == #popped and #record > 0) then
    redis.call('HSET', KEYS[2], unpack(record))
    record = {}
  end
end
return reply
