--[[
Beat: tell that the owner of these leases lives.

KEYS[1] lease    ZSET  id -> generation x 1e6 + beat
KEYS[2] workers  HASH  daemons and their last beat
ARGV[1] prefix   ARGV[2] worker  ARGV[3] the daemon's own time | about it: opaque; that it changes tells that it lives
then pairs: id, token
Returns the ids whose lease is no longer ours. O(jobs in hand).
]]
local lease, workers = KEYS[1], KEYS[2]
local prefix, worker, beat = ARGV[1], ARGV[2], ARGV[3]
local lost = {}
redis.call("HSET", workers, "beat:" .. worker, beat)
for i = 4, #ARGV, 2 do
  local id, token = ARGV[i], ARGV[i + 1]
  if redis.call("HGET", prefix .. "job:" .. id, "token") == token and redis.call("ZSCORE", lease, id) then
    redis.call("ZINCRBY", lease, 1, id)
  else
    lost[#lost + 1] = id
  end
end
return lost
