--[[
An operator wants a failed job again: from its last good step, with all its tries. One job a contact at a time
still holds: it waits behind the contact's last job that is under way or waits.

Safe to run twice: the same request is answered "ok" again.

Transition: FAILED_FINAL -> QUEUED
KEYS[1] job HASH  KEYS[2] wait LIST (the job's own lane)  KEYS[3] sched ZSET  KEYS[4] dead ZSET  KEYS[5] events STREAM
KEYS[6] counts HASH  KEYS[7] timeline STRING  KEYS[8] marker ZSET  KEYS[9] load STRING  KEYS[10] steps HASH
KEYS[11] seen HASH
ARGV[1] prefix  ARGV[2] id  ARGV[3] by: who  ARGV[4] request  ARGV[5] seen_ms: how long a contact is remembered
Returns "ok", "wrong_state", "no_payload" (kept no longer) or "missing". O(log dead); O(its lane) for one that was
cancelled there and must now wait behind another job of its contact.
]]
local job_key, wait, sched, dead, events, counts, timeline, marker, load, steps, seen = unpack(KEYS)
local prefix, id, by, request, seen_ms = unpack(ARGV)
local f = redis.call("HMGET", job_key, "state", "contact", "location", "lane", "op", "left")
if not f[1] then return "missing" end
if f[5] == request then return "ok" end
if f[1] ~= "FAILED_FINAL" then return "wrong_state" end
if redis.call("EXISTS", load) == 0 then return "no_payload" end
local now = now_ms()
redis.call("ZREM", dead, id)
redis.call("HSET", job_key, "state", "QUEUED", "tries", 0, "op", request)
redis.call("HDEL", job_key, "finished", "reason", "outcome", "codes", "error", "token", "stalls", "place", "throttled", "after",
  "behind", "left")
redis.call("PERSIST", load)
redis.call("PERSIST", steps)
move(f[4], "FAILED_FINAL", "QUEUED")
local detail = '{"why":"retried by ' .. by .. '"}'
redis.call("APPEND", timeline, line("queued", now, "0", detail))
tell("queued", id, f[2], f[3], f[4], "0", detail)
close(counts, events)
local row = redis.call("HMGET", seen, "tail", "job")
local last = row[1] or row[2]
if last and last ~= id and is_busy(redis.call("HGET", prefix .. "job:" .. last, "state")) then
  redis.call("HSET", job_key, "after", last)
  redis.call("HSET", prefix .. "job:" .. last, "behind", id)
  redis.call("ZADD", sched, int(now + 60000), id)
  if f[6] then redis.call("LREM", wait, 1, id) end
else
  if not f[6] then redis.call("RPUSH", wait, id) end  -- else it is in its lane still
  wake(marker)
end
redis.call("HSET", seen, "job", id)
redis.call("HDEL", seen, "tail")
redis.call("PEXPIRE", seen, seen_ms)
return "ok"
