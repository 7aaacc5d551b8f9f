--[[
Reserve or return credits of a day's budget.

KEYS[1] credits STRING  spent today  KEYS[2] mark STRING  this request was carried out already
ARGV[1] how many (negative returns them)  ARGV[2] limit (0: none)
Returns {1, spent} when reserved, {0, spent} when the budget is used up. Safe to run twice: the mark tells, for a
minute. O(1).
]]
local many, limit = tonumber(ARGV[1]), tonumber(ARGV[2])
local spent = tonumber(redis.call("GET", KEYS[1]) or "0")
if redis.call("EXISTS", KEYS[2]) == 1 then return { 1, spent } end
if many > 0 and limit > 0 and spent + many > limit then return { 0, spent } end
spent = redis.call("INCRBY", KEYS[1], many)
redis.call("PEXPIRE", KEYS[1], 259200000)
redis.call("SET", KEYS[2], 1, "PX", 60000)
return { 1, spent }
