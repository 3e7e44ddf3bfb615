-- reap: hand back everything an incarnation held, fence it off for good, and note what its end says about what it ran.
-- KEYS  1 queue  2 inflight  3 inbox  4 lease  5 workers  6 suspects  7 accused  8 crashes  9 crash counts  10 killed
--       11 dead  12 dead:records
-- ARGV  1 wid  2 forced (1: its process is known to be dead; 0: only if its lease is missing)  3 tombstone (ms)
--       4 points: what this end says against a message that ran alone; 0 = it accuses nobody
--       5 points of a kill  6 points that convict  7 how long deaths are remembered (ms)
--       8 without a kill for this long it is calm (ms)  9 the longest that calm is waited for (ms)
--       10 dead letters kept (count)  11 (ms)
--       12 culprit: token of the message that was seen to block its process for ever, 0 = none was. Then it alone is to
--          blame, and 4 is not asked
-- Returns {to the head of the queue, to suspects and accused, id of a dead letter...},
--         {-1} not in the register, {-2} refused: it holds a lease.
-- The first death at which a message was in flight sends it back to the head of the queue, later ones to the suspects,
-- where it waits to be run alone. What dies alone is convicted at once by a crash. A kill may have come from outside:
-- the message is accused, and convicted when its points suffice and it died in calm: while workers are being killed no
-- death proves anything. What lies in the inbox was never started.
-- A suspect beside other messages did not run alone, whatever its token says: its take was carried out late, and so
-- unseen. It goes back to the suspects, and only the death is counted.
-- A culprit becomes a suspect at once, and is convicted when it had run alone: a hang is seen precisely, but once it may
-- be the machine's. Whatever was in flight beside it is innocent: no death is counted.
-- The tombstone stays in the register, so that what a cut-off connection of the dead moves into the inbox afterwards is
-- found by reaping again; it is forgotten when its time has passed and nothing was left.
-- Cost O(messages held * log crashes).
local score = redis.call('ZSCORE', KEYS[5], ARGV[1])
if not score then return {-1} end
if ARGV[2] ~= '1' and redis.call('EXISTS', KEYS[4]) == 1 then return {-2} end

local now, points, convicting = now_ms(), tonumber(ARGV[4]), tonumber(ARGV[6])
local landed = redis.call('LRANGE', KEYS[3], 0, -1)
local flat, culprit = redis.call('HGETALL', KEYS[2]), nil
if ARGV[12] ~= '0' then
  points = 0
  for k = 1, #flat, 2 do
    if flat[k] == ARGV[12] then
      culprit = table.remove(flat, k + 1)
      table.remove(flat, k)
      break
    end
  end
end
local running, alone = by_token(flat)
local held = #running + #alone + (culprit and 1 or 0)
if #landed + held > 0 then
  for _, list in ipairs({KEYS[1], KEYS[6], KEYS[7]}) do redis.call('LLEN', list) end  -- guard
  for _, sorted in ipairs({KEYS[8], KEYS[11]}) do redis.call('ZCARD', sorted) end  -- guard
  for _, hash in ipairs({KEYS[9], KEYS[12]}) do redis.call('HLEN', hash) end  -- guard
end
local calm = is_calm(KEYS[10], now, tonumber(ARGV[9]))
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
local crashes = record_of_crashes(KEYS[8], KEYS[9], now, tonumber(ARGV[7]))

local back, suspected, accused, dead = {}, {}, {}, {}
local function convict(raw, deaths, how)
  crashes.forget(raw)
  dead[#dead + 1] = ARGV[1] .. how
  bury(KEYS[11], KEYS[12], dead[#dead], poison_header(raw, deaths), raw, tonumber(ARGV[10]), tonumber(ARGV[11]))
end
local against = #running == 0 and points or 0
for k = 1, #alone do
  local raw, deaths, evidence = alone[k], 0, 0
  if points > 0 then deaths, evidence = crashes.add(raw, against) end
  if against > 0 and (against >= convicting or (calm and evidence >= convicting)) then
    convict(raw, deaths, ':alone' .. k)
  else
    local into = against > 0 and accused or suspected
    into[#into + 1] = raw
  end
end
for k = 1, #running do
  local into = back
  if points > 0 and crashes.add(running[k], 0) >= 2 then into = suspected end
  into[#into + 1] = running[k]
end
if culprit then
  local deaths = crashes.add(culprit, 0)
  if held == 1 and tonumber(ARGV[12]) < 0 then
    convict(culprit, deaths, ':hung')
  else
    suspected[#suspected + 1] = culprit
  end
end
to_head(KEYS[1], landed)
to_head(KEYS[1], back)
to_tail(KEYS[6], suspected)
to_tail(KEYS[7], accused)
if points == tonumber(ARGV[5]) then note_kill(KEYS[10], now, ARGV[8]) end

local until_ms = tonumber(score)
if until_ms == 0 then
  redis.call('ZADD', KEYS[5], now + tonumber(ARGV[3]), ARGV[1])
elseif until_ms <= now and #landed + held == 0 then
  redis.call('ZREM', KEYS[5], ARGV[1])
end
return {#landed + #back, #suspected + #accused, unpack(dead)}
