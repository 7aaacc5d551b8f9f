--[[
Ask for a property: already bought, being bought by somebody, or ours to buy now. Reserves a credit of the day.

KEYS[1] record STRING  the property, opaque    KEYS[2] flight STRING  who buys it now
ARGV[1] owner <worker>/<boot>:<random>  ARGV[2] flight_ms  ARGV[3] gone: the owner whose call is over, "" none
Returns {"hit", record} | {"wait", holder} | {"go"}. Safe to run twice: the same owner is told "go" again. O(1).
]]
local record = redis.call("GET", KEYS[1])
if record then return { "hit", record } end
if redis.call("SET", KEYS[2], ARGV[1], "NX", "PX", ARGV[2]) then return { "go" } end
local holder = redis.call("GET", KEYS[2])
if holder == ARGV[1] then return { "go" } end
-- An earlier boot of this worker is dead: nobody else will end its purchase, and who waits for it would wait in vain.
local worker, boot = string.match(ARGV[1], "^(.*)/([^/:]*):[^:]*$")
local its_worker, its_boot = string.match(holder, "^(.*)/([^/:]*):[^:]*$")
if holder == ARGV[3] or (worker == its_worker and boot ~= its_boot) then
  redis.call("SET", KEYS[2], ARGV[1], "PX", ARGV[2])
  return { "go" }
end
return { "wait", holder }
