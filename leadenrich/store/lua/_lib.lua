-- What every script shares; the loader puts it in front of each. Locals only: a global would leak into other scripts.

local function now_ms()
  local time = redis.call("TIME")
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function int(number)
  return string.format("%.0f", number)
end

-- One job leaves a state of its lane and enters another; either may be nil.
local function move(counts, lane, from, to)
  if from then redis.call("HINCRBY", counts, lane .. ":" .. from, -1) end
  if to then redis.call("HINCRBY", counts, lane .. ":" .. to, 1) end
end

-- The event for everybody (stream) and for the job's own timeline. `detail` is a JSON object, opaque, or "".
local function announce(events, timeline, ms, event, id, job, detail)
  redis.call("XADD", events, "MAXLEN", "~", 10000, "*", "event", event, "job", id, "contact", job.contact,
    "location", job.location, "lane", job.lane, "attempt", job.tries or "0", "detail", detail)
  if timeline then
    redis.call("APPEND", timeline, '["' .. event .. '",' .. int(ms) .. "," .. (job.tries or "0") .. ","
      .. (detail == "" and "null" or detail) .. "]\n")
  end
end

local function wake(marker)
  redis.call("ZADD", marker, 0, "m")
end

-- A job that no longer exists anywhere else: every key of it goes at once.
local function forget(prefix, counts, events, ms, id, state)
  local job_key = prefix .. "job:" .. id
  local fields = redis.call("HMGET", job_key, "contact", "location", "lane")
  redis.call("DEL", job_key, prefix .. "load:" .. id, prefix .. "tl:" .. id, prefix .. "step:" .. id)
  if fields[3] then
    move(counts, fields[3], state, nil)
    announce(events, nil, ms, "removed", id, { contact = fields[1], location = fields[2], lane = fields[3] }, "")
  end
end

-- Keep the newest `keep` of a set of finished jobs. A few at a time, so that no call takes long, but always more than
-- the `added` that the call brought: else a set under load would outgrow its bound.
local function retain(prefix, counts, events, ms, set, keep, state, added)
  local surplus = redis.call("ZCARD", set) - keep
  if surplus > 0 then
    local oldest = redis.call("ZPOPMIN", set, math.min(surplus, 20 + (added or 1)))
    for i = 1, #oldest, 2 do forget(prefix, counts, events, ms, oldest[i], state) end
  end
end

local function is_waiting(state)
  return state == "QUEUED" or state == "RETRY_SCHEDULED"
end

local function is_busy(state)
  return is_waiting(state) or state == "PROCESSING"
end

-- A job ends: a look-up whose intent never got a result may have been sold all the same, and nobody will ask again.
local function count_unknown(steps, counts, now)
  for _, name in ipairs(redis.call("HKEYS", steps)) do
    if string.sub(name, 1, 6) == "lookup" and not string.find(name, ":", 1, true) then
      local started, ended, unknown = string.match(redis.call("HGET", steps, name), "^([^|]*)|([^|]*)|[^|]*|[^|]*|([^|]*)$")
      if ended == "" then
        redis.call("HSET", steps, name, started .. "|" .. int(now) .. "|0|0|" .. int(tonumber(unknown) + 1))
        redis.call("HDEL", steps, name .. ":token")
        redis.call("HINCRBY", counts, "unknown_purchases", 1)
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
    if redis.call("HGET", seen, "tail") == id then redis.call("HSET", seen, "tail", ahead) end
  else
    let_next_go(prefix, job_key, sched, marker)
  end
  redis.call("HDEL", job_key, "after", "behind")
end

-- A job that waits, wherever it does, ends in FAILED_FINAL. `job` has its lane, state, contact, location and tries.
local function fail_waiting(prefix, sched, dead, events, counts, now, id, job, reason, error, retention_ms)
  if redis.call("ZREM", sched, id) == 0 and redis.call("LREM", prefix .. "wait:" .. job.lane, 1, id) == 0 then
    redis.call("LREM", prefix .. "wait:suspect", 1, id)
  end
  local job_key = prefix .. "job:" .. id
  redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", reason, "error", error)
  redis.call("HDEL", job_key, "next", "suspect", "held")
  redis.call("ZADD", dead, int(now), id)
  redis.call("PEXPIRE", prefix .. "load:" .. id, retention_ms)
  count_unknown(prefix .. "step:" .. id, counts, now)
  redis.call("PEXPIRE", prefix .. "step:" .. id, retention_ms)
  move(counts, job.lane, job.state, "FAILED_FINAL")
  redis.call("HINCRBY", counts, "reason:" .. reason, 1)
  announce(events, prefix .. "tl:" .. id, now, "failed", id, job,
    '{"reason":"' .. reason .. '","error":"' .. error .. '"}')
end

-- Who holds the lease? "ok", or what the caller must answer.
local function prove(job_key, lease, id, token)
  local held = redis.call("HGET", job_key, "token")
  if not held then return "missing" end
  if held ~= token or not redis.call("ZSCORE", lease, id) then return "lost_lease" end
  return "ok"
end
