--[[
End a job in FAILED_FINAL.

Safe to run twice: the token that buried it is answered "ok" again.

Transition: PROCESSING -> FAILED_FINAL
KEYS[1] job HASH  KEYS[2] lease ZSET  KEYS[3] dead ZSET  KEYS[4] events STREAM  KEYS[5] counts HASH
KEYS[6] timeline STRING  KEYS[7] sched ZSET  KEYS[8] marker ZSET  KEYS[9] load STRING  KEYS[10] steps HASH
ARGV[1] prefix  ARGV[2] token  ARGV[3] id  ARGV[4] reason  ARGV[5] outcome  ARGV[6] codes  ARGV[7] error
ARGV[8] detail (JSON)  ARGV[9] keep  ARGV[10] retention_ms
Returns "ok", "lost_lease" or "missing". O(log dead).
]]
local job_key, lease, dead, events, counts, timeline, sched, marker, load, steps = unpack(KEYS)
local prefix, token, id, reason, outcome, codes, error, detail, keep, retention_ms = unpack(ARGV)
local f = redis.call("HMGET", job_key, "state", "token", "contact", "location", "lane", "tries")
if f[1] == "FAILED_FINAL" and f[2] == token then return "ok" end
local word = prove(job_key, lease, id, token)
if word ~= "ok" then return word end
local now = now_ms()
redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", reason, "outcome", outcome,
  "codes", codes, "error", error)
redis.call("HDEL", job_key, "alone", "suspect", "next")
redis.call("ZREM", lease, id)
redis.call("ZADD", dead, int(now), id)
redis.call("PEXPIRE", load, retention_ms)
count_unknown(steps, counts, now)
redis.call("PEXPIRE", steps, retention_ms)
move(counts, f[5], "PROCESSING", "FAILED_FINAL")
redis.call("HINCRBY", counts, "reason:" .. reason, 1)
if outcome ~= "" then redis.call("HINCRBY", counts, "outcome:" .. outcome, 1) end
announce(events, timeline, now, "failed", id, { contact = f[3], location = f[4], lane = f[5], tries = f[6] }, detail)
let_next_go(prefix, job_key, sched, marker)
retain(prefix, counts, events, now, dead, tonumber(keep), "FAILED_FINAL")
return "ok"
