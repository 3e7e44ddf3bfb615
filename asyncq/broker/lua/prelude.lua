-- prelude: helpers that stand before every script. No script of its own.
-- Redis refuses at maxmemory a script whose FIRST write may grow memory and lets everything after a shrinking first
-- write through: each script therefore begins its writes with DEL, HDEL, LPOP or ZREM, even of a missing key.
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

-- Everything in a list, and the list is gone.
local function drain_list(key)
  local raws = redis.call('LRANGE', key, 0, -1)
  redis.call('DEL', key)
  return raws
end

-- Everything in an in-flight hash by ascending token, and the hash is gone.
local function drain_inflight(key)
  local flat = redis.call('HGETALL', key)
  redis.call('DEL', key)
  local tokens, by_token, raws = {}, {}, {}
  for k = 1, #flat, 2 do
    local token = tonumber(flat[k])
    tokens[#tokens + 1] = token
    by_token[token] = flat[k + 1]
  end
  table.sort(tokens)
  for k = 1, #tokens do raws[k] = by_token[tokens[k]] end
  return raws
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
