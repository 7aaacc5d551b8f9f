--[[
Take the turn that one daemon at a time has, or keep it.

Safe to run twice: it only lasts longer.

KEYS[1] turn STRING  whose it is
ARGV[1] who asks  ARGV[2] how long the turn lasts, ms
Returns 1 when it is theirs, else 0. O(1).
]]
if redis.call("SET", KEYS[1], ARGV[1], "NX", "PX", ARGV[2]) then return 1 end
if redis.call("GET", KEYS[1]) ~= ARGV[1] then return 0 end
redis.call("PEXPIRE", KEYS[1], ARGV[2])
return 1
