--[[
Take waiting jobs to work on, and do the housekeeping: promote what is due, honour every pause, say when to come again.

Safe to run twice: the same number gets the same jobs, while their leases are held. One that comes late, after the next
or after a later boot's (it stood in a dead connection), gets none: nobody hears its answer.

Transition: QUEUED -> PROCESSING
Transition: RETRY_SCHEDULED -> QUEUED (promote)
KEYS[1] wait_live LIST  KEYS[2] wait_bulk LIST  KEYS[3] wait_suspect LIST  waiting ids; suspects run alone
KEYS[4] sched     ZSET  id -> due, ms           KEYS[5] lease        ZSET  id -> generation x 1e6 + beat
KEYS[6] marker    ZSET  KEYS[7] events STREAM   KEYS[8] counts HASH
KEYS[9] meta      HASH  what is paused          KEYS[10] workers HASH      each worker's last claim
ARGV[1] prefix  ARGV[2] owner <worker>/<boot>  ARGV[3] want  ARGV[4] running: jobs in this process now
ARGV[5] number of this owner's claim, from 1  ARGV[6] lease_ms  ARGV[7] probe_ms: between two tries of a provider that
is out  ARGV[8] the schema that the worker knows
Returns {jobs, next_ms (-1 nothing is due), hold}: hold is "" | "paused" | "drain" (stop claiming until nothing runs
here: a suspect comes next) | "newer" (the data's schema) | "late" (another boot claimed last); a job is {id, token, lane, location, contact, tries, max, stalls, alone, probe, created,
rerun, payload, steps}.
]]
local wait = { live = KEYS[1], bulk = KEYS[2] }
local suspects, sched, lease, marker, events, counts, meta, workers =
  KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9], KEYS[10]
local prefix, owner, want, running = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local number, lease_ms, probe_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local worker = string.match(owner, "^(.*)/[^/]*$")
local now = now_ms()
local next_at = nil

local function come_again(at)
  if at and (not next_at or at < next_at) then next_at = at end
end

local function next_ms()
  local first = redis.call("ZRANGE", sched, 0, 0, "WITHSCORES")
  if first[2] then come_again(tonumber(first[2])) end
  return next_at and int(math.max(next_at - now, 0)) or "-1"
end

-- meta "provider:<name>" = kind|until_ms|probe_ms|since_ms|rank|reason
local switches, newer = {}, false
local all = redis.call("HGETALL", meta)
for i = 1, #all, 2 do
  if all[i] == "schema" then newer = tonumber(all[i + 1]) > tonumber(ARGV[8]) end
  local name = string.match(all[i], "^provider:(.+)$")
  if name then
    local kind, till, probe = string.match(all[i + 1], "^([^|]*)|([^|]*)|([^|]*)|")
    switches[name] = { field = all[i], value = all[i + 1], kind = kind, till = tonumber(till), probe = tonumber(probe) }
  end
end

-- Whether jobs may use a provider: "go", "probe" (this one tries it out), or false and since when to ask again.
local function gate(name)
  local switch = switches[name]
  if not switch then return "go" end
  if switch.till > 0 then
    if switch.till > now then return false, switch.till end
    redis.call("HDEL", meta, switch.field)
    switches[name] = nil
    tell("provider_resumed", "", "", "", "", "0",
      '{"provider":"' .. name .. '","why":"time is over"}')
    return "go"
  end
  if switch.kind ~= "outage" then return false, nil end
  if switch.probe > now then return false, switch.probe end
  return "probe", now + probe_ms
end

local function probing(name)
  local switch = switches[name]
  switch.probe = now + probe_ms
  local head, tail = string.match(switch.value, "^([^|]*|[^|]*|)[^|]*(|.*)$")
  redis.call("HSET", meta, switch.field, head .. int(switch.probe) .. tail)
end

local function promote()
  local due = redis.call("ZRANGEBYSCORE", sched, "-inf", int(now), "LIMIT", 0, 100)
  for i = #due, 1, -1 do
    local id = due[i]
    local job_key = prefix .. "job:" .. id
    local fields = redis.call("HMGET", job_key, "state", "lane", "after", "suspect")
    local ahead = fields[3] and redis.call("HGET", prefix .. "job:" .. fields[3], "state")
    if ahead and ahead ~= "SUCCEEDED" and ahead ~= "FAILED_FINAL" then
      redis.call("ZADD", sched, int(now + 60000), id)
    else
      redis.call("ZREM", sched, id)
      if fields[1] then
        if fields[1] == "RETRY_SCHEDULED" then
          redis.call("HSET", job_key, "state", "QUEUED")
          move(fields[2], "RETRY_SCHEDULED", "QUEUED")
        end
        redis.call("HDEL", job_key, "next", "after", "held")
        redis.call("LPUSH", fields[4] and suspects or wait[fields[2]], id)
      end
    end
  end
end

local jobs, ids, leased = {}, {}, {}
local stamp, starter = int(now), by_owner(owner .. ":0")

-- A job as it waits: {state, lane, location, contact, tries, max, stalls, gen, created, steps, stale}.
local function look(id)
  return redis.call("HMGET", prefix .. "job:" .. id, "state", "lane", "location", "contact", "tries", "max", "stalls", "gen",
    "created", "steps", "stale")
end

local function take(id, f, alone, probe)
  local _, lane, location, contact, tries, most, stalls, generation, created, has_steps, stale = unpack(f, 1, 11)
  local job_key = prefix .. "job:" .. id
  tries, generation = (tries or 0) + 1, (generation or 0) + 1
  local token = owner .. ":" .. generation
  redis.call("HSET", job_key, "state", "PROCESSING", "token", token, "gen", generation, "tries", tries, "begun", stamp)
  if alone then redis.call("HSET", job_key, "alone", 1) end
  leased[#leased + 1] = generation * 1000000
  leased[#leased + 1] = id
  move(lane, "QUEUED", "PROCESSING")
  tell("started", id, contact, location, lane, tries, starter)
  jobs[#jobs + 1] = { id, token, lane, location, contact, tostring(tries), most, stalls or "0", alone and "1" or "0",
    probe and "1" or "0", created, (generation > 1 or stale) and "1" or "0",
    redis.call("GET", prefix .. "load:" .. id) or "", has_steps and redis.call("HGETALL", prefix .. "step:" .. id) or {} }
  ids[#ids + 1] = id .. (probe and "!" or "")
end

-- The job, when it may be taken now, and whether it is a probe. False where it is parked, since its location is paused;
-- nil where it does not wait any more.
local function admit(id)
  local f = look(id)
  if f[1] ~= "QUEUED" then
    if f[1] then redis.call("HDEL", prefix .. "job:" .. id, "left") end
    return nil
  end
  local name = "ghl:" .. f[3]
  local pass, again = gate(name)
  if not pass then
    local due = again or now + probe_ms
    redis.call("ZADD", sched, int(due), id)
    redis.call("HSET", prefix .. "job:" .. id, "held", name, "next", int(due))
    return false
  end
  if pass == "probe" then probing(name) end
  return f, pass == "probe"
end

-- Up to `many` ids, live ones first; every tenth one is bulk while live ones wait. And how many were taken so far.
local function pop(many)
  local turn = tonumber(redis.call("HGET", meta, "turn") or "0")
  local popped = {}
  local function from(lane, most)
    local got = most > 0 and redis.call("LPOP", lane, most)
    for _, id in ipairs(got or {}) do popped[#popped + 1] = id end
  end
  from(wait.bulk, math.floor((turn + many) / 10) - math.floor(turn / 10))
  from(wait.live, many - #popped)
  from(wait.bulk, many - #popped)
  return popped, turn
end

-- The worker's last claim: owner|number|ids.
local function note_claim()
  redis.call("HSET", workers, "claim:" .. worker, owner .. "|" .. int(number) .. "|" .. table.concat(ids, ","))
end

local last = redis.call("HGET", workers, "claim:" .. worker)
local last_owner, last_number, last_ids = string.match(last or "", "^(.*)|(%d+)|([^|]*)$")
if last_owner == owner and number <= tonumber(last_number) then
  for id, probe in string.gmatch(number == tonumber(last_number) and last_ids or "", "([^,!]+)(!?)") do
    local f = read(prefix .. "job:" .. id, "state", "token", "lane", "location", "contact", "tries", "max", "stalls",
      "alone", "created", "gen", "steps", "stale")
    if f.state == "PROCESSING" and f.token and string.sub(f.token, 1, #owner + 1) == owner .. ":" then
      jobs[#jobs + 1] = { id, f.token, f.lane, f.location, f.contact, f.tries, f.max, f.stalls or "0", f.alone or "0",
        probe == "!" and "1" or "0", f.created, (tonumber(f.gen) > 1 or f.stale) and "1" or "0",
        redis.call("GET", prefix .. "load:" .. id) or "", f.steps and redis.call("HGETALL", prefix .. "step:" .. id) or {} }
    end
  end
  return { jobs, next_ms(), "" }
end

-- A boot's first claim is its first word; any other comes behind its own, unless a later boot has spoken.
if last_owner and last_owner ~= owner and number > 1 then return { {}, "-1", "late" } end
if newer then return { {}, "-1", "newer" } end

-- What an idle daemon meets at each look, kept short: nothing waits, nothing is due, nothing is paused.
local paused = redis.call("HEXISTS", meta, "paused") == 1
if not paused and not next(switches) and redis.call("EXISTS", wait.live, wait.bulk, suspects) == 0 then
  local first = redis.call("ZRANGE", sched, 0, 0, "WITHSCORES")
  if not first[2] or tonumber(first[2]) > now then
    redis.call("DEL", marker)
    note_claim()
    return { {}, first[2] and int(tonumber(first[2]) - now) or "-1", "" }
  end
end

-- The end of every claim below: what was taken is leased and told.
local function answer(hold)
  if #jobs > 0 then redis.call("ZADD", lease, unpack(leased)) end
  note_claim()
  close(counts, events)
  return { jobs, next_ms(), hold }
end

promote()
if paused then
  note_claim()
  close(counts, events)
  return { {}, "-1", "paused" }
end
local pass, again = gate("realestateapi")
if not pass then
  come_again(again)
  return answer("")
end

-- Whoever claims may have taken the marker, and this call may have promoted what nobody was told of: wake the next.
local function pass_on()
  local more = redis.call("LLEN", wait.live) + redis.call("LLEN", wait.bulk)
  if more > 0 and pass ~= "probe" then
    wake(marker)
  else
    redis.call("DEL", marker)
  end
end

-- Suspects run again one at a time: one daemon empties itself for them, the others go on.
if redis.call("LLEN", suspects) > 0 then
  local suspect = redis.call("HMGET", meta, "suspect_id", "suspect_owner", "suspect_until")
  local busy = suspect[1] and redis.call("ZSCORE", lease, suspect[1])
  local reserved = tonumber(suspect[3] or "0")
  local over = reserved < now or reserved > now + lease_ms  -- or the clock was set back meanwhile
  if not busy and (not suspect[2] or suspect[2] == worker or over) then
    redis.call("HSET", meta, "suspect_owner", worker, "suspect_until", int(now + lease_ms))
    if running > 0 then
      pass_on()
      return answer("drain")
    end
    local id, job, probe
    repeat  -- one whose location is paused steps aside for the next
      id = redis.call("LPOP", suspects)
      if id then job, probe = admit(id) end
    until job or not id
    if job then
      if pass == "probe" then probing("realestateapi") end
      redis.call("HSET", meta, "suspect_id", id)
      take(id, job, true, pass == "probe" or probe)
      pass_on()
      return answer("")
    end
  elseif not busy then
    come_again(reserved)
  end
end

if pass == "probe" then want = math.min(want, 1) end
local looked_at = 0
while #jobs < want and looked_at < want + 200 do
  local popped, turn = pop(want - #jobs)
  if #popped == 0 then break end  -- a look at empty lanes is no turn
  looked_at = looked_at + #popped
  for _, id in ipairs(popped) do
    local job, probe = admit(id)
    if job then take(id, job, false, pass == "probe" or probe) end
    if job ~= nil then turn = turn + 1 end
  end
  redis.call("HSET", meta, "turn", int(turn))
end
if pass == "probe" and #jobs > 0 then probing("realestateapi"); come_again(now + probe_ms) end
pass_on()
return answer("")
