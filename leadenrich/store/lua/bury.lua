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
local f = read(job_key, "state", "token", "contact", "location", "lane", "tries", "begun", "started")
if f.state == "FAILED_FINAL" and f.token == token then return "ok" end
local word = holds(f.state, f.token, token)
if word ~= "ok" then return word end
local now = now_ms()
write_run(job_key, timeline, f, line("failed", now, f.tries, detail))
redis.call("HSET", job_key, "state", "FAILED_FINAL", "finished", int(now), "reason", reason, "outcome", outcome,
  "codes", codes, "error", error)
redis.call("HDEL", job_key, "suspect", "next")
redis.call("ZREM", lease, id)
redis.call("ZADD", dead, int(now), id)
redis.call("PEXPIRE", load, retention_ms)
count_unknown(steps, now)
redis.call("PEXPIRE", steps, retention_ms)
move(f.lane, "PROCESSING", "FAILED_FINAL")
count("reason:" .. reason, 1)
if outcome ~= "" then count("outcome:" .. outcome, 1) end
tell_of("failed", id, f, detail)
let_next_go(prefix, job_key, sched, marker)
retain(prefix, dead, tonumber(keep), "FAILED_FINAL")
close(counts, events)
return "ok"
