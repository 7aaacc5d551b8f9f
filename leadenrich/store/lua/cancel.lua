--[[
An operator takes back a waiting job.

Transition: QUEUED -> FAILED_FINAL
Transition: RETRY_SCHEDULED -> FAILED_FINAL
KEYS[1] job HASH  KEYS[2] wait_live LIST  KEYS[3] wait_bulk LIST  KEYS[4] suspects LIST  KEYS[5] sched ZSET
KEYS[6] dead ZSET  KEYS[7] events STREAM  KEYS[8] counts HASH  KEYS[9] timeline STRING  KEYS[10] marker ZSET
KEYS[11] load STRING
ARGV[1] prefix  ARGV[2] id  ARGV[3] by: who  ARGV[4] keep  ARGV[5] retention_ms
Returns "ok", "wrong_state" or "missing". O(waiting jobs of its lane): leaving the middle of a list.
]]
local job_key, live, bulk, suspects, sched, dead, events, counts, timeline, marker, load = unpack(KEYS)
local prefix, id, by, keep, retention_ms = unpack(ARGV)
local f = redis.call("HMGET", job_key, "state", "contact", "location", "lane", "tries")
if not f[1] then return "missing" end
if f[1] ~= "QUEUED" and f[1] ~= "RETRY_SCHEDULED" then return "wrong_state" end
local now = now_ms()
if redis.call("ZREM", sched, id) == 0 and redis.call("LREM", f[4] == "live" and live or bulk, 1, id) == 0 then
  redis.call("LREM", suspects, 1, id)
end
redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", "cancelled", "error", "cancelled by " .. by)
redis.call("HDEL", job_key, "next", "after", "suspect", "held")
redis.call("ZADD", dead, int(now), id)
redis.call("PEXPIRE", load, retention_ms)
move(counts, f[4], f[1], "FAILED_FINAL")
redis.call("HINCRBY", counts, "reason:cancelled", 1)
announce(events, timeline, now, "failed", id, { contact = f[2], location = f[3], lane = f[4], tries = f[5] },
  '{"reason":"cancelled","error":"cancelled by ' .. by .. '"}')
let_next_go(prefix, job_key, sched, marker)
retain(prefix, counts, events, now, dead, tonumber(keep), "FAILED_FINAL")
return "ok"
