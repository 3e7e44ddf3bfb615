-- reap: hand back everything an incarnation held, fence it off for good, and note what its end says about what it ran.
-- KEYS  1 queue  2 inflight  3 inbox  4 lease  5 workers  6 suspects  7 crashes  8 crash counts  9 acquitted
--       10 dead  11 dead:records
-- ARGV  1 wid  2 forced (1: its process is known to be dead; 0: only if its lease is missing)  3 tombstone (ms)
--       4 points: what this end says against a message that ran alone; 0 = it accuses nobody
--       5 points that convict  6 how long deaths are remembered (ms)  7 dead letters kept (count)  8 (ms)
-- Returns {to the head of the queue, to the suspects, id of a dead letter...},
--         {-1} not in the register, {-2} refused: it holds a lease.
-- The first death at which a message was in flight sends it back to the head of the queue, later ones to the suspects,
-- where it waits to be run alone. What dies alone is convicted: at once by a crash, else when its points suffice, for a
-- kill may have come from outside. Each message that died alone and then lived (see acquit) proves that such kills
-- happen and asks for one more of them, up to three. What lies in the inbox was never started.
-- A suspect beside other messages did not run alone, whatever its token says: its take was carried out late, and so
-- unseen. It goes back to the suspects, and only the death is counted.
-- The tombstone stays in the register, so that what a cut-off connection of the dead moves into the inbox afterwards is
-- found by reaping again; it is forgotten when its time has passed and nothing was left.
-- Cost O(messages held * log crashes).
local score = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not score then return {-1} end
if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[4]) == 1 then return {-2} end

local now, points = now_ms(), tonumber(ARGV[4])
local landed = redis.call('LRANGE', KEYS[3], 0, -1)
local running, alone = by_token(redis.call('HGETALL', KEYS[2]))
if #landed + #running + #alone > 0 then
  redis.call('LLEN', KEYS[1])  -- guard
  redis.call('LLEN', KEYS[6])  -- guard
  redis.call('ZCARD', KEYS[7])  -- guard
  redis.call('HLEN', KEYS[8])  -- guard
  redis.call('ZCARD', KEYS[10])  -- guard
  redis.call('HLEN', KEYS[11])  -- guard
end
local convicting = tonumber(ARGV[5])
local needed = convicting + 2 * math.min(tonumber(redis.call('GET', KEYS[9]) or 0), 3)
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
local crashes = record_of_crashes(KEYS[7], KEYS[8], now, tonumber(ARGV[6]))

local back, suspected, dead = {}, {}, {}
local against = #running == 0 and points or 0
for k = 1, #alone do
  local raw = alone[k]
  local deaths, evidence = 0, 0
  if points > 0 then deaths, evidence = crashes.add(raw, against) end
  if against > 0 and (against >= convicting or evidence >= needed) then
    crashes.forget(raw)
    dead[#dead + 1] = ARGV[1] .. ':alone' .. k
    bury(KEYS[10], KEYS[11], dead[#dead], poison_header(raw, deaths), raw, tonumber(ARGV[7]), tonumber(ARGV[8]))
  else
    suspected[#suspected + 1] = raw
  end
end
for k = 1, #running do
  local into = back
  if points > 0 and crashes.add(running[k], 0) >= 2 then into = suspected end
  into[#into + 1] = running[k]
end
to_head(KEYS[1], landed)
to_head(KEYS[1], back)
for k = 1, #suspected do redis.call('RPUSH', KEYS[6], suspected[k]) end

local until_ms = tonumber(score)
if until_ms == 0 then
  redis.call('ZADD', KEYS[5], now + tonumber(ARGV[3]), ARGV[1])
elseif until_ms <= now and #landed + #running + #alone == 0 then
  redis.call('ZREM', KEYS[5], ARGV[1])
end
return {#landed + #back, #suspected, unpack(dead)}
