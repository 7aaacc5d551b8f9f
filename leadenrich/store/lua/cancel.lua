--[[
An operator takes back a waiting job.

Safe to run twice: the same request is answered "ok" again.

Transition: QUEUED -> FAILED_FINAL
Transition: RETRY_SCHEDULED -> FAILED_FINAL
KEYS[1] job HASH  KEYS[2] seen HASH (the contact's)  KEYS[3] sched ZSET  KEYS[4] dead ZSET  KEYS[5] events STREAM
KEYS[6] counts HASH  KEYS[7] marker ZSET
ARGV[1] prefix  ARGV[2] id  ARGV[3] by: who  ARGV[4] keep  ARGV[5] retention_ms  ARGV[6] request
Returns "ok", "wrong_state" or "missing". O(log sched): its id stays in its lane.
]]
local job_key, seen, sched, dead, events, counts, marker = unpack(KEYS)
local prefix, id, by, keep, retention_ms, request = unpack(ARGV)
local f = redis.call("HMGET", job_key, "state", "contact", "location", "lane", "tries", "op")
if not f[1] then return "missing" end
if f[6] == request then return "ok" end
if not is_waiting(f[1]) then return "wrong_state" end
local now = now_ms()
local job = { state = f[1], contact = f[2], location = f[3], lane = f[4], tries = f[5] }
redis.call("HSET", job_key, "op", request)
leave_row(prefix, id, seen, sched, marker)
fail_waiting(prefix, sched, dead, now, id, job, "cancelled", "cancelled by " .. by, retention_ms)
retain(prefix, dead, tonumber(keep), "FAILED_FINAL")
close(counts, events)
return "ok"
