--[[
Take up one lead at once: a job that its maker holds from the start, past what waits, unless the contact has a job that
waits or is worked on: one job a contact at a time.

Safe to run twice: the same job by the same owner is answered the same.

Transition: none -> QUEUED (enqueue)
Transition: QUEUED -> PROCESSING (claim)
KEYS[1] seen HASH (the contact's)  KEYS[2] job HASH  KEYS[3] load STRING  KEYS[4] lease ZSET  KEYS[5] events STREAM
KEYS[6] counts HASH
ARGV[1] prefix  ARGV[2] id  ARGV[3] location  ARGV[4] contact  ARGV[5] payload  ARGV[6] owner <worker>/<boot>
ARGV[7] attempts_max  ARGV[8] seen_ms
Returns {"begun", token, created} or {"busy", id, state}. O(1).
]]
local seen, job_key, load, lease, events, counts = unpack(KEYS)
local prefix, id, location, contact, payload, owner, attempts_max, seen_ms = unpack(ARGV)
local token = owner .. ":1"
local own = read(job_key, "token", "created")
if own.token == token then return { "begun", token, own.created } end
local row = read(seen, "tail", "job")
local last = row.tail or row.job
local state = last and redis.call("HGET", prefix .. "job:" .. last, "state")
if is_busy(state) then return { "busy", last, state } end
local stamp = int(now_ms())
redis.call("HSET", job_key, "state", "PROCESSING", "lane", "live", "contact", contact, "location", location,
  "max", attempts_max, "created", stamp, "token", token, "gen", 1, "tries", 1, "begun", stamp)
redis.call("SET", load, payload)
redis.call("HSET", seen, "job", id, "made", stamp)
redis.call("HDEL", seen, "tail")
redis.call("PEXPIRE", seen, seen_ms)
redis.call("ZADD", lease, 1000000, id)
move("live", nil, "PROCESSING")
tell("queued", id, contact, location, "live", "0", "")
tell("started", id, contact, location, "live", "1", by_owner(token))
close(counts, events)
return { "begun", token, stamp }
