-- prelude: helpers that stand before every script. No script of its own.
-- Redis refuses at maxmemory a script whose FIRST write may grow memory and lets everything after a shrinking first
-- write through: each script but `enqueue` therefore begins its writes with DEL, HDEL, LPOP or ZREM, even of a missing
-- key.
-- Redis undoes nothing of what a script wrote before it failed: whoever moves messages reads every key it is going to
-- write before its first write, or asks for its size (`guard`), so that a key of another type fails before anything has
-- left its place.
-- Lua's unpack is kept to 500 values.

-- Redis' own clock, milliseconds. Worker clocks are never compared with it.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Put `raws` before everything else in the list, the first of them first.
local function to_head(queue, raws)
  local last = #raws
  while last > 0 do
    local part = {}
    for k = last, math.max(last - 499, 1), -1 do part[#part + 1] = raws[k] end
    redis.call('LPUSH', queue, unpack(part))
    last = last - 500
  end
end

local function to_tail(queue, raws)
  for k = 1, #raws, 500 do redis.call('RPUSH', queue, unpack(raws, k, math.min(k + 499, #raws))) end
end

-- A message waits until that time. If nothing is due earlier, the due list rings whoever waits to promote.
local function schedule_at(scheduled, payloads, due, unique, due_ms, raw)
  redis.call('HSET', payloads, unique, raw)
  redis.call('ZADD', scheduled, due_ms, unique)
  if redis.call('ZRANGE', scheduled, 0, 0)[1] == unique then
    redis.call('RPUSH', due, 1)
    redis.call('LTRIM', due, -1, -1)
    redis.call('PEXPIRE', due, 60000)
  end
end

-- A message waits until Redis' clock + delay.
local function schedule(scheduled, payloads, due, unique, delay_ms, raw)
  schedule_at(scheduled, payloads, due, unique, now_ms() + delay_ms, raw)
end

-- The values of an in-flight hash by ascending token, and apart from them those of tokens below zero: they ran alone.
local function by_token(flat)
  local tokens, values, raws, alone = {}, {}, {}, {}
  for k = 1, #flat, 2 do
    local token = tonumber(flat[k])
    tokens[#tokens + 1] = token
    values[token] = flat[k + 1]
  end
  table.sort(tokens)
  for k = 1, #tokens do
    local into = tokens[k] < 0 and alone or raws
    into[#into + 1] = values[tokens[k]]
  end
  return raws, alone
end

-- Everything in the inbox and, if one is named, the in-flight hash goes back, and accuses nobody: to the head of the
-- queue, what is in flight first, it left the queue earlier; what ran alone to the head of the suspects.
-- Returns how many.
local function hand_back(queue, inbox, inflight, suspects)
  local landed, running, alone = redis.call('LRANGE', inbox, 0, -1), {}, {}
  if inflight then
    running, alone = by_token(redis.call('HGETALL', inflight))
    if #alone > 0 then redis.call('LLEN', suspects) end  -- guard
  end
  if #landed + #running > 0 then redis.call('LLEN', queue) end  -- guard
  redis.call('DEL', inbox)
  if inflight then redis.call('DEL', inflight) end
  to_head(queue, landed)
  to_head(queue, running)
  if #alone > 0 then to_head(suspects, alone) end
  return #landed + #running + #alone
end

local function forget_dead(dead, records, ids)
  if #ids > 0 then
    redis.call('ZREM', dead, unpack(ids))
    redis.call('HDEL', records, unpack(ids))
  end
end

-- Keep a dead letter: `header` is a JSON object text with at least one member. Then trim: at most 100 that are too old
-- and at most 100 beyond the cap, so that a long backlog of the old never blocks Redis.
local function bury(dead, records, id, header, raw, cap, keep_ms)
  local now = now_ms()
  local line = '{"at_ms":' .. string.format('%.0f', now) .. ',' .. string.sub(header, 2)
  redis.call('HSET', records, id, line .. '\n' .. raw)
  redis.call('ZADD', dead, now, id)
  forget_dead(dead, records, redis.call('ZRANGE', dead, '-inf', now - keep_ms, 'BYSCORE', 'LIMIT', 0, 100))
  local excess = math.min(redis.call('ZCARD', dead) - cap, 100)
  if excess > 0 then forget_dead(dead, records, redis.call('ZRANGE', dead, 0, excess - 1)) end
end

-- Workers are being killed, by whatever it is: until nobody was for `calm_ms`. Holds the moment at which that began.
local function note_kill(killed, now, calm_ms)
  if not redis.call('SET', killed, string.format('%.0f', now), 'NX', 'PX', calm_ms) then
    redis.call('PEXPIRE', killed, calm_ms)
  end
end

-- Nobody was killed lately, or it goes on for so long that it is not waited for any more.
local function is_calm(killed, now, longest_ms)
  local since = redis.call('GET', killed)
  return not since or now - (tonumber(since) or 0) > longest_ms
end

-- What is remembered of messages in flight at the death of a process: sha1 of the raw bytes -> "deaths points", and when
-- it last happened. `add` counts one death per call of the script, however many equal messages there were, and
-- `points` against one that ran alone. At most 100 of the too old are forgotten on the way.
local function record_of_crashes(crashes, counts, now, keep_ms)
  local counted = {}
  local old = redis.call('ZRANGE', crashes, '-inf', now - keep_ms, 'BYSCORE', 'LIMIT', 0, 100)
  if #old > 0 then
    redis.call('ZREM', crashes, unpack(old))
    redis.call('HDEL', counts, unpack(old))
  end

  local function add(raw, points)
    local sha = redis.sha1hex(raw)
    local said = redis.call('HGET', counts, sha) or '0 0'
    local deaths, before = string.match(said, '^(%d+) (%d+)$')
    deaths, points = tonumber(deaths), tonumber(before) + points
    if not counted[sha] then
      counted[sha] = true
      deaths = deaths + 1
    end
    redis.call('HSET', counts, sha, string.format('%d %d', deaths, points))
    redis.call('ZADD', crashes, now, sha)
    redis.call('PEXPIRE', counts, keep_ms)
    redis.call('PEXPIRE', crashes, keep_ms)
    return deaths, points
  end

  local function forget(raw)
    local sha = redis.sha1hex(raw)
    redis.call('ZREM', crashes, sha)
    redis.call('HDEL', counts, sha)
  end
  return {add = add, forget = forget}
end

-- The header of a message that was convicted, with its id and name where they are plain enough to be copied.
local function poison_header(raw, deaths)
  local members = {'"reason":"poison"', string.format('"deaths":%d', deaths)}
  local decoded, message = pcall(cjson.decode, raw)
  for _, member in ipairs({'id', 'name'}) do
    local value = decoded and type(message) == 'table' and message[member]
    if type(value) == 'string' and string.match(value, '^[%w%-_.:/ ]+$') then
      members[#members + 1] = string.format('"%s":"%s"', member, value)
    end
  end
  return '{' .. table.concat(members, ',') .. '}'
end
