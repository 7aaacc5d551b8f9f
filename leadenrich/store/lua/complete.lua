--[[
Finish jobs in PROCESSING, drop their leases, announce them, let the contact's next job go, keep the newest.

Safe to run twice: the token that finished a job is answered "ok" again.

Transition: PROCESSING -> SUCCEEDED
KEYS[1] lease ZSET  KEYS[2] done ZSET  KEYS[3] events STREAM  KEYS[4] counts HASH  KEYS[5] sched ZSET
KEYS[6] marker ZSET  then for each job 3: job HASH, steps HASH, load STRING
ARGV[1] prefix  ARGV[2] keep  ARGV[3] retention_ms  then for each job 6: id, token, outcome, codes, note,
detail (JSON, of the event)
Returns for each job "ok", "lost_lease" or "missing".
]]
local lease, done, events, counts, sched, marker = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local prefix, keep, retention_ms = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local now = now_ms()
local stamp = int(now)
local words, ended, finishes = {}, {}, {}

-- What the steps told each other goes; when they ran, what they cost and what they wrote to the contact stays. Written
-- anew: a hash that once held a long value keeps the large form. So what was written is cut into pieces of 64 bytes,
-- `fields:1` and so on, the longest value that Redis packs.
local WROTE = { ["fields:result"] = "fields:", ["tags:result"] = "tags:" }

local function drop_results(steps)
  count_unknown(steps, now)
  local kept = {}
  for _, field in ipairs(redis.call("HKEYS", steps)) do
    local value = redis.call("HGET", steps, field)
    if not string.find(field, ":", 1, true) then
      kept[#kept + 1] = field
      kept[#kept + 1] = value
    elseif WROTE[field] then
      for piece = 1, math.ceil(#value / 64) do
        kept[#kept + 1] = WROTE[field] .. piece
        kept[#kept + 1] = string.sub(value, piece * 64 - 63, piece * 64)
      end
    end
  end
  redis.call("DEL", steps)
  if #kept > 0 then
    redis.call("HSET", steps, unpack(kept))
    redis.call("PEXPIRE", steps, retention_ms)
  end
end

for i = 0, (#ARGV - 3) / 6 - 1 do
  local k, a = 6 + i * 3, 3 + i * 6
  local job_key, steps, load = KEYS[k + 1], KEYS[k + 2], KEYS[k + 3]
  local id, token, outcome, codes, note, detail = unpack(ARGV, a + 1, a + 6)
  local f = redis.call("HMGET", job_key, "state", "token", "contact", "location", "lane", "tries", "steps", "behind",
    "alone", "suspect", "error", "next")
  local state, held, contact, location, lane, tries, has_steps, behind = unpack(f, 1, 8)
  local word = state == "SUCCEEDED" and held == token and "ok" or holds(state, held, token)
  if word == "ok" and state == "PROCESSING" then
    local set = { "HSET", job_key, "state", "SUCCEEDED", "finished", stamp, "outcome", outcome }
    if codes ~= "" then set[#set + 1] = "codes"; set[#set + 1] = codes end
    if note ~= "" then set[#set + 1] = "note"; set[#set + 1] = note end
    redis.call(unpack(set))
    if f[9] or f[10] or f[11] or f[12] then redis.call("HDEL", job_key, "alone", "suspect", "error", "next") end
    if has_steps then drop_results(steps) end
    redis.call("PEXPIRE", load, retention_ms)
    ended[#ended + 1] = id
    finishes[#finishes + 1] = stamp
    finishes[#finishes + 1] = id
    move(lane, "PROCESSING", "SUCCEEDED")
    count("outcome:" .. outcome, 1)
    tell("completed", id, contact, location, lane, tries, detail)
    if behind then let_next_go(prefix, job_key, sched, marker) end
  end
  words[#words + 1] = word
end
if #ended > 0 then
  redis.call("ZREM", lease, unpack(ended))
  redis.call("ZADD", done, unpack(finishes))
end
retain(prefix, done, keep, "SUCCEEDED", #words)
close(counts, events)
return words
