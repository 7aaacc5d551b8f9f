--[[
A try failed and another is left: schedule it.

Safe to run twice: a second run finds the same token waiting and answers "ok".

Transition: PROCESSING -> RETRY_SCHEDULED
KEYS[1] job HASH  KEYS[2] lease ZSET  KEYS[3] sched ZSET  KEYS[4] events STREAM  KEYS[5] counts HASH
KEYS[6] timeline STRING  KEYS[7] marker ZSET
ARGV[1] token  ARGV[2] id  ARGV[3] delay_ms  ARGV[4] error  ARGV[5] detail (JSON)
Returns "ok", "lost_lease" or "missing". O(log sched).
]]
local job_key, lease, sched, events, counts, timeline, marker = unpack(KEYS)
local token, id, delay_ms, error, detail = unpack(ARGV)
local f = read(job_key, "state", "token", "contact", "location", "lane", "tries", "begun", "started")
if f.state == "RETRY_SCHEDULED" and f.token == token then return "ok" end
local word = holds(f.state, f.token, token)
if word ~= "ok" then return word end
local now = now_ms()
local due = int(now + tonumber(delay_ms))
write_run(job_key, timeline, f, line("retrying", now, f.tries, detail))
redis.call("HSET", job_key, "state", "RETRY_SCHEDULED", "next", due, "error", error)
redis.call("HDEL", job_key, "suspect")
redis.call("ZREM", lease, id)
redis.call("ZADD", sched, due, id)
move(f.lane, "PROCESSING", "RETRY_SCHEDULED")
tell_of("retrying", id, f, detail)
close(counts, events)
wake(marker)  -- a sleeper may have to wake earlier than it knew
return "ok"
