--[[
Hand a job back to wait; the try is returned.

Safe to run twice: a second run finds the same token waiting and answers "ok".

Transition: PROCESSING -> QUEUED
KEYS[1] job HASH  KEYS[2] lease ZSET  KEYS[3] sched ZSET  KEYS[4] wait LIST (the job's own lane)
KEYS[5] events STREAM  KEYS[6] counts HASH  KEYS[7] timeline STRING  KEYS[8] marker ZSET  KEYS[9] suspects LIST
ARGV[1] token  ARGV[2] id  ARGV[3] shutdown|throttled|provider_paused  ARGV[4] until_ms (0: at once)
ARGV[5] throttle_deadline_ms, counted from the job's first throttle  ARGV[6] detail (JSON)  ARGV[7] error
ARGV[8] provider it waits for ("" none): who resumes it lets the job go on before its time
Returns "ok", "lost_lease", "missing" or "too_long" (throttled beyond the deadline; nothing was changed). O(log sched).
]]
local job_key, lease, sched, wait, events, counts, timeline, marker, suspects = unpack(KEYS)
local token, id, why, till, deadline_ms, detail, error, provider = unpack(ARGV)
local f = read(job_key, "state", "token", "contact", "location", "lane", "tries", "begun", "started", "throttled",
  "suspect")
if f.state == "QUEUED" and f.token == token then return "ok" end
local word = holds(f.state, f.token, token)
if word ~= "ok" then return word end
local now = now_ms()
if why == "throttled" then
  local first = tonumber(f.throttled or int(now))
  if now - first > tonumber(deadline_ms) then return "too_long" end
  redis.call("HSET", job_key, "throttled", int(first))
end
local tries = int(tonumber(f.tries) - 1)
local event = why == "throttled" and "throttled" or "queued"
write_run(job_key, timeline, f, line(event, now, tries, detail))
redis.call("HSET", job_key, "state", "QUEUED", "tries", tries)
if error ~= "" then redis.call("HSET", job_key, "error", error) end
redis.call("ZREM", lease, id)
move(f.lane, "PROCESSING", "QUEUED")
f.tries = tries
tell_of(event, id, f, detail)
if tonumber(till) > now then
  redis.call("HSET", job_key, "next", till)
  if provider ~= "" then redis.call("HSET", job_key, "held", provider) end
  redis.call("ZADD", sched, till, id)
else
  redis.call("LPUSH", f.suspect and suspects or wait, id)
end
close(counts, events)
wake(marker)
return "ok"
