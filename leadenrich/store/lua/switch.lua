--[[
Pause or resume the queue or a provider, for every daemon and across restarts.

KEYS[1] meta HASH  KEYS[2] events STREAM  KEYS[3] sched ZSET  KEYS[4] marker ZSET
ARGV[1] prefix  ARGV[2] field: "paused" or "provider:<name>"  ARGV[3] value ("" resumes)
ARGV[4] rank: a pause is not replaced by one of a lower rank  ARGV[5] event  ARGV[6] detail (JSON)
ARGV[7] held: the provider whose parked jobs go on at once when it is resumed
A value is kind|until_ms|probe_ms|since_ms|rank|reason, and behind a tab the name of the person who paused it, if
one did.
Returns 1 when something changed, else 0. O(parked jobs), at most 1000 looked at.
]]
local meta, events, sched, marker = unpack(KEYS)
local prefix, field, value, rank, event, detail, held = unpack(ARGV)
local old, now = redis.call("HGET", meta, field), now_ms()
if value == "" then
  if not old then return 0 end
  redis.call("HDEL", meta, field)
  for _, id in ipairs(redis.call("ZRANGE", sched, 0, 999)) do
    if held ~= "" and redis.call("HGET", prefix .. "job:" .. id, "held") == held then
      redis.call("ZADD", sched, int(now), id)
    end
  end
else
  local kind, till, since, was = string.match(old or "", "^([^|]*)|([^|]*)|[^|]*|([^|]*)|([^|]*)|")
  if kind and tonumber(till) > 0 and tonumber(till) <= now then kind, was = nil, nil end  -- its time is over
  was = tonumber(was or "-1")
  if was > tonumber(rank) then return 0 end
  -- Two answers of a provider can come in either order: the longer wait that it asked for counts.
  local new_kind, new_till = string.match(value, "^([^|]*)|([^|]*)|")
  if kind == new_kind and tonumber(till) > tonumber(new_till) and tonumber(new_till) > 0 then return 0 end
  local first, rest = string.match(value, "^([^|]*|[^|]*|[^|]*|)(.*)$")
  redis.call("HSET", meta, field, first .. (was == tonumber(rank) and since or int(now)) .. rest)
  if was == tonumber(rank) then return 0 end  -- renewed, not news
end
if event ~= "" then
  tell(event, "", "", "", "", "0", detail)
  close(nil, events)
end
wake(marker)
return 1
