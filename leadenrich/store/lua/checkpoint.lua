--[[
Write down a step of a job: its intent (before an effect), its result (after it), or that the effect surely did not
happen (the intent is withdrawn). Proves the lease.

A step that is done anew begins anew: with its new intent, else with its result. A result that this run sends again,
its answer lost, keeps the start: what the run did began no earlier than the run (`begun`).

A step is "started|ended|cached|credits|unknown": unknown counts intents that never got a result of their own: one
that finds a cached result later may have paid all the same.

KEYS[1] job HASH    KEYS[2] steps HASH    KEYS[3] counts HASH
ARGV[1] token  ARGV[2] id  ARGV[3] step name  ARGV[4] intent|result|withdraw  ARGV[5] cached 0|1  ARGV[6] credits
ARGV[7] result, opaque  ARGV[8] 1: an earlier intent without result is an unknown purchase
Returns {word, started_ms, unknown}: word is "ok", "lost_lease" or "missing". O(1).
]]
local job, steps, counts = KEYS[1], KEYS[2], KEYS[3]
local token, id, name, verb = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local held = redis.call("HMGET", job, "state", "token", "begun")
local word = holds(held[1], held[2], token)
if word ~= "ok" then return { word, "0", "0" } end
local now = int(now_ms())

local function one_more(unknown)
  redis.call("HINCRBY", counts, "unknown_purchases", 1)
  return int(tonumber(unknown) + 1)
end

local before = redis.call("HGET", steps, name)
local started, ended, unknown = now, "", "0"
if before then
  local was = { string.match(before, "^([^|]*)|([^|]*)|([^|]*)|([^|]*)|([^|]*)$") }
  started, ended, unknown = was[1], was[2], was[5]
end
if verb == "withdraw" then
  if before and ended == "" then
    redis.call("HDEL", steps, name .. ":token")
    if unknown == "0" then
      redis.call("HDEL", steps, name)
    else  -- the earlier ones stay counted
      redis.call("HSET", steps, name, started .. "|" .. started .. "|0|0|" .. unknown)
    end
  end
elseif verb == "intent" then
  if ended ~= "" then
    started = now
  elseif before and redis.call("HGET", steps, name .. ":token") ~= token then
    if ARGV[8] == "1" then unknown = one_more(unknown) end
    started = now
  end
  redis.call("HSET", steps, name, started .. "||0|0|" .. unknown, name .. ":token", token)
  redis.call("HSET", job, "steps", 1)
else
  if before and ended == "" and ARGV[5] == "1" and ARGV[8] == "1" then unknown = one_more(unknown) end
  if tonumber(started) < tonumber(held[3]) then started = now end
  redis.call("HSET", steps, name, started .. "|" .. now .. "|" .. ARGV[5] .. "|" .. ARGV[6] .. "|" .. unknown,
    name .. ":result", ARGV[7])
  redis.call("HDEL", steps, name .. ":token")
  redis.call("HSET", job, "steps", 1)
  if tonumber(ARGV[6]) > 0 and ended == "" then redis.call("HINCRBY", counts, "credits", ARGV[6]) end
end
return { "ok", started, unknown }
