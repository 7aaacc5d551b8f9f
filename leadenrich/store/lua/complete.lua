--[[
Finish jobs in PROCESSING, drop their leases, announce them, let the contact's next job go, keep the newest.

Safe to run twice: the token that finished a job is answered "ok" again.

Transition: PROCESSING -> SUCCEEDED
KEYS[1] lease ZSET  KEYS[2] done ZSET  KEYS[3] events STREAM  KEYS[4] counts HASH  KEYS[5] sched ZSET
KEYS[6] marker ZSET  then for each job 4: job HASH, timeline STRING, steps HASH, load STRING
ARGV[1] prefix  ARGV[2] keep  ARGV[3] retention_ms  then for each job 5: id, token, outcome, codes, detail (JSON)
Returns for each job "ok", "lost_lease" or "missing".
]]
local lease, done, events, counts, sched, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local prefix, keep, retention_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now = now_ms()

local function drop_results(steps)
  count_unknown(steps, counts, now)
  for _, field in ipairs(redis.call("HKEYS", steps)) do
    if string.find(field, ":", 1, true) then redis.call("HDEL", steps, field) end
  end
  redis.call("PEXPIRE", steps, retention_ms)
end

local words = {}
for i = 0, (#ARGV - 3) / 5 - 1 do
  local k, a = 6 + i * 4, 3 + i * 5
  local job_key, timeline, steps, load = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3], KEYS[k + 4]
  local id, token, outcome, codes, detail = ARGV[a + 1], ARGV[a + 2], ARGV[a + 3], ARGV[a + 4], ARGV[a + 5]
  local job = {}
  local f = redis.call("HMGET", job_key, "state", "token", "contact", "location", "lane", "tries", "steps")
  job.contact, job.location, job.lane, job.tries = f[3], f[4], f[5], f[6]
  if f[1] == "SUCCEEDED" and f[2] == token then
    words[#words + 1] = "ok"
  else
    local word = prove(job_key, lease, id, token)
    if word == "ok" then
      redis.call("HSET", job_key, "state", "SUCCEEDED", "finished", int(now), "outcome", outcome, "codes", codes)
      redis.call("HDEL", job_key, "error", "alone", "suspect", "next")
      redis.call("ZREM", lease, id)
      redis.call("ZADD", done, int(now), id)
      redis.call("PEXPIRE", load, retention_ms)
      if f[7] then drop_results(steps) end
      move(counts, job.lane, "PROCESSING", "SUCCEEDED")
      redis.call("HINCRBY", counts, "outcome:" .. outcome, 1)
      announce(events, timeline, now, "completed", id, job, detail)
      let_next_go(prefix, job_key, sched, marker)
    end
    words[#words + 1] = word
  end
end
retain(prefix, counts, events, now, done, keep, "SUCCEEDED", #words)
return words
