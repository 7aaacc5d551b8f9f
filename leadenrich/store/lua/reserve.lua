--[[
Book the next start of a rate shared by all daemons, first come first served.

KEYS[1] pace STRING  when the next start may be, microseconds by Redis' clock
ARGV[1] interval_us
Returns how long the caller must wait, microseconds; the start is booked. O(1).
]]
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
local interval = tonumber(ARGV[1])
local at = math.max(now, tonumber(redis.call("GET", KEYS[1]) or "0"))
-- A clock set back would make everybody wait for it: never book further ahead than a minute of starts.
if at > now + 60000000 then at = now end
redis.call("SET", KEYS[1], int(at + interval), "PX", 3600000)
return int(at - now)
