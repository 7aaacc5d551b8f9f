--[[
Take a job back whose worker died. It is a suspect now: it runs again alone. Only a job that ran alone when its
process died is charged with the stall, and only when it had died alone at that place before: one death may be
anybody's doing (kill -9, memory, power), two at the same place are the job's own. Too many charges end it.

Safe to run twice: the same request is answered the same again.

Transition: PROCESSING -> QUEUED
Transition: PROCESSING -> FAILED_FINAL (condemn)
KEYS[1] job HASH  KEYS[2] lease ZSET  KEYS[3] suspects LIST  KEYS[4] dead ZSET  KEYS[5] events STREAM
KEYS[6] counts HASH  KEYS[7] timeline STRING  KEYS[8] sched ZSET  KEYS[9] marker ZSET  KEYS[10] load STRING
KEYS[11] steps HASH
ARGV[1] prefix  ARGV[2] id  ARGV[3] beat: the lease's score that stood still, or "" with
ARGV[4] owner <worker>/<boot>: whose earlier boots' leases are taken over  ARGV[5] max_stalled  ARGV[6] keep
ARGV[7] retention_ms  ARGV[8] request
Returns "reclaimed", "condemned", "alive" (its lease moved) or "missing". O(log lease).
]]
local job_key, lease, suspects, dead, events, counts, timeline, sched, marker, load, steps = unpack(KEYS)
local prefix, id, beat, owner, max_stalled, keep, retention_ms, request = unpack(ARGV)
local f = read(job_key, "token", "contact", "location", "lane", "tries", "stalls", "alone", "op", "state", "place",
  "begun", "started")
if f.op == request then return f.state == "FAILED_FINAL" and "condemned" or "reclaimed" end
local score = redis.call("ZSCORE", lease, id)
if not score then return "missing" end
if not f.token then
  redis.call("ZREM", lease, id)
  return "missing"
end
if beat ~= "" then
  if tonumber(score) ~= tonumber(beat) then return "alive" end
else
  local same_worker = string.match(f.token, "^(.*)/[^/]*$") == string.match(owner, "^(.*)/[^/]*$")
  if not same_worker or string.sub(f.token, 1, #owner + 1) == owner .. ":" then return "alive" end
end
local now = now_ms()
local tries = int(tonumber(f.tries) - 1)
local stalls = tonumber(f.stalls or "0")
local charged = false
if f.alone then
  local place = 0  -- how far it has come: the steps that have their result
  for _, field in ipairs(redis.call("HKEYS", steps)) do
    if string.find(field, ":result", 1, true) then place = place + 1 end
  end
  charged = f.place == int(place)
  stalls = charged and stalls + 1 or 0
  redis.call("HSET", job_key, "place", int(place))
end
local detail = '{"charged":' .. (charged and "true" or "false") .. ',"by":"' .. string.match(f.token, "^(.*):[^:]*$") .. '"}'
write_run(job_key, timeline, f, line("stalled", now, tries, detail))
redis.call("ZREM", lease, id)
redis.call("HSET", job_key, "stalls", stalls, "tries", tries, "op", request)
redis.call("HDEL", job_key, "token")
f.tries = tries
tell_of("stalled", id, f, detail)
if stalls > tonumber(max_stalled) then
  local why = "its process died " .. int(stalls + 1) .. " times at the same place while it ran alone"
  local reason = '{"reason":"stalled","error":"' .. why .. '"}'
  redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", "stalled", "error", why)
  redis.call("HDEL", job_key, "suspect")
  redis.call("APPEND", timeline, line("failed", now, tries, reason))
  redis.call("ZADD", dead, int(now), id)
  redis.call("PEXPIRE", load, retention_ms)
  count_unknown(steps, now)
  redis.call("PEXPIRE", steps, retention_ms)
  move(f.lane, "PROCESSING", "FAILED_FINAL")
  count("reason:stalled", 1)
  tell_of("failed", id, f, reason)
  let_next_go(prefix, job_key, sched, marker)
  retain(prefix, dead, tonumber(keep), "FAILED_FINAL")
  close(counts, events)
  return "condemned"
end
redis.call("HSET", job_key, "state", "QUEUED", "suspect", 1)
redis.call("RPUSH", suspects, id)
move(f.lane, "PROCESSING", "QUEUED")
close(counts, events)
wake(marker)
return "reclaimed"
