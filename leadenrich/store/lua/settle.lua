--[[
A purchase ended: keep what was bought and let the others go on.

KEYS[1] record STRING  KEYS[2] flight STRING
ARGV[1] owner  ARGV[2] record ("" nothing was bought)  ARGV[3] ttl_ms
Returns "ok". Safe to run twice. O(1).
]]
if ARGV[2] ~= "" and tonumber(ARGV[3]) > 0 then redis.call("SET", KEYS[1], ARGV[2], "PX", ARGV[3]) end
if redis.call("GET", KEYS[2]) == ARGV[1] then redis.call("DEL", KEYS[2]) end
return "ok"
