--[[
Ask for a property: already bought, being bought by somebody, or ours to buy now. Reserves a credit of the day.

KEYS[1] record STRING  the property, opaque    KEYS[2] flight STRING  who buys it now
ARGV[1] owner  ARGV[2] flight_ms
Returns {"hit", record} | {"wait"} | {"go"}. Safe to run twice: the same owner is told "go" again. O(1).
]]
local record = redis.call("GET", KEYS[1])
if record then return { "hit", record } end
if redis.call("SET", KEYS[2], ARGV[1], "NX", "PX", ARGV[2]) or redis.call("GET", KEYS[2]) == ARGV[1] then
  return { "go" }
end
return { "wait" }
