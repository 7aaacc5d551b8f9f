-- What every script shares; the loader puts it in front of each. Locals only: a global would leak into other scripts.

local function now_ms()
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function int(number)
  return string.format("%.0f", number)
end

-- Some fields of a hash by their names; what it lacks is false.
local function read(key, ...)
  local names, fields = { ... }, {}
  local values = redis.call("HMGET", key, ...)
  for i, name in ipairs(names) do fields[name] = values[i] end
  return fields
end

-- What a call counts and tells is summed up while it runs and written at its end, together: see `close`.
local tally, told = {}, {}

local function count(field, by)
  tally[field] = (tally[field] or 0) + by
end

-- One job leaves a state of its lane and enters another; either may be nil.
local function move(lane, from, to)
  if from then count(lane .. ":" .. from, -1) end
  if to then count(lane .. ":" .. to, 1) end
end

-- An event for everybody: whose it is, and `detail`, a JSON object, opaque, or "".
local function tell(event, id, contact, location, lane, tries, detail)
  told[#told + 1] = #told / 2
  told[#told + 1] = event .. "\t" .. id .. "\t" .. contact .. "\t" .. location .. "\t" .. lane .. "\t" .. (tries or "0")
    .. "\t" .. detail
end

-- The same for a job whose fields were read.
local function tell_of(event, id, job, detail)
  tell(event, id, job.contact, job.location, job.lane, job.tries, detail)
end

-- The last thing that a call does. Eight events share an entry of the stream: its length bounds its memory.
local function close(counts, events)
  for field, by in pairs(tally) do
    if by ~= 0 then redis.call("HINCRBY", counts, field, by) end
  end
  for i = 1, #told, 16 do
    redis.call("XADD", events, "MAXLEN", "~", 2000, "*", unpack(told, i, math.min(i + 15, #told)))
  end
end

-- A line of the job's own timeline.
local function line(event, ms, tries, detail)
  return '["' .. event .. '",' .. int(ms) .. "," .. (tries or "0") .. "," .. (detail == "" and "null" or detail) .. "]\n"
end

-- The detail of a run's start: who runs it.
local function by_owner(token)
  return '{"by":"' .. string.match(token, "^(.*):[^:]*$") .. '"}'
end

-- A run is over and another may come: its start goes to the timeline, and what it came to behind it. Of a run that
-- goes on, or that succeeded, the job itself tells the start (`begun`, `token`) and the end: no key for it.
-- `f` has begun, token, tries and started as the run had them.
local function write_run(job_key, timeline, f, ended)
  redis.call("APPEND", timeline, line("started", f.begun, f.tries, by_owner(f.token)) .. ended)
  redis.call("HSET", job_key, "started", f.started or f.begun)
  redis.call("HDEL", job_key, "begun", "alone")
end

local function wake(marker)
  redis.call("ZADD", marker, 0, "m")
end

-- A job that no longer exists anywhere else goes, told: its keys are put to those that the caller removes.
local function forget(prefix, id, state, gone)
  local job_key = prefix .. "job:" .. id
  local fields = redis.call("HMGET", job_key, "contact", "location", "lane")
  for _, key in ipairs({ job_key, prefix .. "load:" .. id, prefix .. "tl:" .. id, prefix .. "step:" .. id }) do
    gone[#gone + 1] = key
  end
  if fields[3] then
    move(fields[3], state, nil)
    tell("removed", id, fields[1], fields[2], fields[3], "0", "")
  end
end

-- Keep the newest `keep` of a set of finished jobs. A few at a time, so that no call takes long, but always more than
-- the `added` that the call brought: else a set under load would outgrow its bound.
local function retain(prefix, set, keep, state, added)
  local surplus = redis.call("ZCARD", set) - keep
  if surplus > 0 then
    local oldest, gone = redis.call("ZPOPMIN", set, math.min(surplus, 20 + (added or 1))), {}
    for i = 1, #oldest, 2 do forget(prefix, oldest[i], state, gone) end
    redis.call("DEL", unpack(gone))
  end
end

local function is_waiting(state)
  return state == "QUEUED" or state == "RETRY_SCHEDULED"
end

local function is_busy(state)
  return is_waiting(state) or state == "PROCESSING"
end

-- A job ends: a look-up whose intent never got a result may have been sold all the same, and nobody will ask again.
local function count_unknown(steps, now)
  for _, name in ipairs(redis.call("HKEYS", steps)) do
    if string.sub(name, 1, 6) == "lookup" and not string.find(name, ":", 1, true) then
      local started, ended, unknown = string.match(redis.call("HGET", steps, name), "^([^|]*)|([^|]*)|[^|]*|[^|]*|([^|]*)$")
      if ended == "" then
        redis.call("HSET", steps, name, started .. "|" .. int(now) .. "|0|0|" .. int(tonumber(unknown) + 1))
        redis.call("HDEL", steps, name .. ":token")
        count("unknown_purchases", 1)
      end
    end
  end
end

-- The next job of the same contact waited for this one to end: it may go now.
local function let_next_go(prefix, job_key, sched, marker)
  local behind = redis.call("HGET", job_key, "behind")
  if behind then
    redis.call("HDEL", job_key, "behind")
    if redis.call("ZREM", sched, behind) == 1 then
      local behind_key = prefix .. "job:" .. behind
      redis.call("HDEL", behind_key, "after", "next")
      redis.call("RPUSH", prefix .. "wait:" .. redis.call("HGET", behind_key, "lane"), behind)
      wake(marker)
    end
  end
end

-- A job that waits leaves its contact's row for good: who came behind it waits for the one ahead now, or may go.
local function leave_row(prefix, id, seen, sched, marker)
  local job_key = prefix .. "job:" .. id
  local row = redis.call("HMGET", job_key, "after", "behind")
  local ahead, behind = row[1], row[2]
  if ahead and is_busy(redis.call("HGET", prefix .. "job:" .. ahead, "state")) then
    if behind then
      redis.call("HSET", prefix .. "job:" .. ahead, "behind", behind)
      redis.call("HSET", prefix .. "job:" .. behind, "after", ahead)
    else
      redis.call("HDEL", prefix .. "job:" .. ahead, "behind")
    end
    local known = read(seen, "tail", "job")
    if (known.tail or known.job) == id then redis.call("HSET", seen, "tail", ahead) end
  else
    let_next_go(prefix, job_key, sched, marker)
  end
  redis.call("HDEL", job_key, "after", "behind")
end

-- A job that waits, wherever it does, ends in FAILED_FINAL. `job` has its lane, state, contact, location and tries.
-- To find it in the middle of a long lane would hold Redis up: its id stays there (`left`), and the claim that meets it
-- passes over it.
local function fail_waiting(prefix, sched, dead, now, id, job, reason, error, retention_ms)
  if redis.call("ZREM", sched, id) == 0 and redis.call("LREM", prefix .. "wait:suspect", 1, id) == 0 then
    redis.call("HSET", prefix .. "job:" .. id, "left", 1)
  end
  local job_key = prefix .. "job:" .. id
  redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", reason, "error", error)
  redis.call("HDEL", job_key, "next", "suspect", "held")
  redis.call("ZADD", dead, int(now), id)
  redis.call("PEXPIRE", prefix .. "load:" .. id, retention_ms)
  count_unknown(prefix .. "step:" .. id, now)
  redis.call("PEXPIRE", prefix .. "step:" .. id, retention_ms)
  move(job.lane, job.state, "FAILED_FINAL")
  count("reason:" .. reason, 1)
  local detail = '{"reason":"' .. reason .. '","error":"' .. error .. '"}'
  redis.call("APPEND", prefix .. "tl:" .. id, line("failed", now, job.tries, detail))
  tell_of("failed", id, job, detail)
end

-- Who holds the job? "ok", or what the caller must answer. `state` and `token` are the job's own words: a lease is
-- there exactly while the state is PROCESSING, and its token is of this one run.
local function holds(state, held, token)
  if not held then return "missing" end
  return state == "PROCESSING" and held == token and "ok" or "lost_lease"
end
