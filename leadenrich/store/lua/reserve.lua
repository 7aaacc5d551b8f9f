--[[
Book the next start of a rate shared by all daemons, first come first served.

KEYS[1] pace STRING  next|now: when the next start is due and when that was booked, microseconds by Redis' clock
ARGV[1] interval_us  ARGV[2] ahead_us: so much earlier than due one may start, after a pause (0: no burst)
Returns how long the caller must wait, microseconds; the start is booked. O(1).
]]
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local at, booked = string.match(redis.call("GET", KEYS[1]) or "", "^(%d+)|(%d+)$")
at, booked = tonumber(at or "0"), tonumber(booked or "0")
-- A clock set back must not make everybody wait for it: what is booked ahead moves back with it.
if booked > now then at = at - (booked - now) end
at = math.max(now, at)
redis.call("SET", KEYS[1], int(at + interval) .. "|" .. int(now), "PX", 3600000)
return int(math.max(at - tonumber(ARGV[2]) - now, 0))
