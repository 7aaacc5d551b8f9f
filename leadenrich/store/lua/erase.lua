--[[
Remove a contact's jobs whole, wherever they stand, and what is remembered of it, so that nothing names it any more.
All or nothing: while one of them is worked on, nothing is removed.

Safe to run twice: what is gone is not counted again.

KEYS[1] seen HASH (the contact's)  KEYS[2] sched ZSET  KEYS[3] done ZSET  KEYS[4] dead ZSET  KEYS[5] events STREAM
KEYS[6] counts HASH  KEYS[7] marker ZSET  KEYS[8] erased STRING
ARGV[1] prefix  ARGV[2] mark: jobs with smaller ids are of before  ARGV[3] mark_ms: how long that is known
then the ids of its jobs
Returns {"ok", jobs removed, 1 when it was remembered} or {"busy", id}. O(waiting jobs of their lanes).
]]
local seen, sched, done, dead, events, counts, marker, erased = unpack(KEYS)
local prefix, mark, mark_ms = ARGV[1], ARGV[2], ARGV[3]
for i = 4, #ARGV do
  if redis.call("HGET", prefix .. "job:" .. ARGV[i], "state") == "PROCESSING" then return { "busy", ARGV[i] } end
end
local removed = 0
for i = 4, #ARGV do
  local id = ARGV[i]
  local job_key = prefix .. "job:" .. id
  local f = read(job_key, "state", "location", "lane")
  if f.state then
    if is_waiting(f.state) then
      leave_row(prefix, id, seen, sched, marker)
      redis.call("ZREM", sched, id)
      redis.call("LREM", prefix .. "wait:" .. f.lane, 0, id)
      redis.call("LREM", prefix .. "wait:suspect", 0, id)
    else
      redis.call("ZREM", done, id)
      redis.call("ZREM", dead, id)
    end
    redis.call("DEL", job_key, prefix .. "load:" .. id, prefix .. "tl:" .. id, prefix .. "step:" .. id)
    move(f.lane, f.state, nil)
    tell("removed", id, "", f.location, f.lane, "0", "")
    removed = removed + 1
  end
end
local remembered = redis.call("DEL", seen)
if removed + remembered > 0 then
  -- Marks of imports stay, for they name nobody: this tells that what they point to does not count any more.
  redis.call("SET", erased, mark, "PX", mark_ms)
end
close(counts, events)
return { "ok", removed, remembered }
