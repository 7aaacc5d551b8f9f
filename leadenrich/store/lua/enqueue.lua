--[[
Take in leads: a new job each, the one that is already there, or none, as the table "Which events start work" says.

Safe to run twice: a second run with the same ids answers the same.

Transition: none -> QUEUED
KEYS[1] wait_live  LIST    KEYS[2] wait_bulk  LIST    waiting ids
KEYS[3] sched      ZSET    parked behind another job of the same contact
KEYS[4] marker     ZSET    what a sleeping worker waits on
KEYS[5] events     STREAM  KEYS[6] counts     HASH    KEYS[7] dead  ZSET  finished in FAILED_FINAL
then for each lead 4: dedup STRING, seen HASH, job HASH, load STRING
ARGV[1] prefix  ARGV[2] seen_ms   how long a contact is remembered
ARGV[3] dedup_ms  ARGV[4] unknown_updates  1: an update of a contact never seen starts work
then for each lead 12: id, kind (new|workflow|opportunity|update|tags|delete), lane, location, contact,
fingerprint ("" no address), event_ms (0 unknown), trigger tags (",a,b,", "-" unknown), payload, attempts_max,
delivery_ms (0: no delivery key), retention_ms of a payload whose job ended
Returns for each lead {"queued", id} | {"duplicate", id} | {"ignored", why}.
]]
local wait = { live = KEYS[1], bulk = KEYS[2] }
local sched, marker, events, counts, dead = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local prefix, seen_ms, dedup_ms, unknown_updates = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == "1"
local now = now_ms()

local function has_new_tag(tags, last_tags)
  for tag in string.gmatch(tags, "[^,]+") do
    if not string.find(last_tags, "," .. tag .. ",", 1, true) then return true end
  end
  return false
end

local function remember(lead, with_address)
  local fields = { "at", int(math.max(lead.event_ms, tonumber(lead.last_at or "0"))) }
  if lead.tags ~= "-" then fields[#fields + 1] = "tags"; fields[#fields + 1] = lead.tags end
  if with_address then fields[#fields + 1] = "fp"; fields[#fields + 1] = lead.fp end
  redis.call("HSET", lead.seen, unpack(fields))
  redis.call("PEXPIRE", lead.seen, seen_ms)
end

local function duplicate(lead, id)
  if lead.delivery_ms > 0 then redis.call("SET", lead.dedup, id, "PX", int(lead.delivery_ms)) end
  return { "duplicate", id }
end

local function replace_waiting(lead)
  redis.call("SET", prefix .. "load:" .. lead.last_job, lead.payload)
  remember(lead, true)
  redis.call("HSET", lead.seen, "made", int(now))
  return duplicate(lead, lead.last_job)
end

local function create(lead)
  local job = { contact = lead.contact, location = lead.location, lane = lead.lane }
  redis.call("HSET", lead.job, "state", "QUEUED", "lane", lead.lane, "contact", lead.contact,
    "location", lead.location, "max", lead.attempts_max, "created", int(now))
  redis.call("SET", lead.load, lead.payload)
  if lead.last_busy then
    redis.call("HSET", lead.job, "after", lead.last_job)
    redis.call("HSET", prefix .. "job:" .. lead.last_job, "behind", lead.id)
    redis.call("ZADD", sched, int(now + 60000), lead.id)  -- looked at again even if nobody lets it go
  else
    redis.call("RPUSH", wait[lead.lane], lead.id)
    wake(marker)
  end
  move(counts, lead.lane, nil, "QUEUED")
  remember(lead, lead.kind ~= "opportunity" and lead.kind ~= "tags")
  redis.call("HSET", lead.seen, "job", lead.id, "made", int(now))
  if lead.delivery_ms > 0 then redis.call("SET", lead.dedup, lead.id, "PX", int(lead.delivery_ms)) end
  announce(events, nil, now, "queued", lead.id, job, "")
  return { "queued", lead.id }
end

-- The contact is gone: nothing that waits for it can work any more.
local function bury_waiting(lead)
  local id = lead.last_job
  for _ = 1, 50 do
    if not id then return end
    local job_key = prefix .. "job:" .. id
    local fields = redis.call("HMGET", job_key, "state", "lane", "after", "tries")
    if fields[1] == "QUEUED" or fields[1] == "RETRY_SCHEDULED" then
      redis.call("ZREM", sched, id)
      redis.call("LREM", wait[fields[2]], 1, id)
      redis.call("LREM", prefix .. "wait:suspect", 1, id)
      redis.call("HSET", job_key, "state", "FAILED_FINAL", "reason", "contact_not_found", "finished", int(now),
        "error", "the contact was deleted in HighLevel")
      redis.call("HDEL", job_key, "next", "after", "behind", "held")
      redis.call("ZADD", dead, int(now), id)
      redis.call("PEXPIRE", prefix .. "load:" .. id, lead.retention_ms)
      move(counts, fields[2], fields[1], "FAILED_FINAL")
      announce(events, prefix .. "tl:" .. id, now, "failed", id,
        { contact = lead.contact, location = lead.location, lane = fields[2], tries = fields[4] },
        '{"reason":"contact_not_found","error":"the contact was deleted in HighLevel"}')
    end
    id = fields[3]
  end
end

local kinds = {}

function kinds.new(lead)
  local same = lead.last_job and lead.last_fp == lead.fp and now - tonumber(lead.last_made or "0") < dedup_ms
  if same and lead.last_state ~= "FAILED_FINAL" then
    remember(lead, true)
    return duplicate(lead, lead.last_job)
  end
  return create(lead)
end
kinds.workflow = kinds.new

function kinds.opportunity(lead)
  if lead.last_waiting then return duplicate(lead, lead.last_job) end
  return create(lead)
end

function kinds.update(lead)
  if lead.event_ms > 0 and lead.event_ms < tonumber(lead.last_at or "0") then
    return { "ignored", "older than what is known of this contact" }
  end
  if lead.fp == "" then
    remember(lead, false)
    return { "ignored", "no address" }
  end
  if not lead.last_fp and not lead.last_job and not unknown_updates then
    remember(lead, true)
    return { "ignored", "contact never seen" }
  end
  if lead.last_fp == lead.fp then
    remember(lead, false)
    return { "ignored", "address unchanged" }
  end
  if lead.last_waiting then return replace_waiting(lead) end
  return create(lead)
end

function kinds.tags(lead)
  local fresh = lead.tags ~= "-" and has_new_tag(lead.tags, lead.last_tags or "")
  if not fresh then
    remember(lead, false)
    return { "ignored", "no new trigger tag" }
  end
  if lead.last_waiting then
    remember(lead, false)
    return duplicate(lead, lead.last_job)
  end
  return create(lead)
end

function kinds.delete(lead)
  bury_waiting(lead)
  redis.call("DEL", lead.seen)
  return { "ignored", "contact deleted" }
end

local answers = {}
for i = 0, (#ARGV - 4) / 12 - 1 do
  local k, a = 7 + i * 4, 4 + i * 12
  local lead = { dedup = KEYS[k + 1], seen = KEYS[k + 2], job = KEYS[k + 3], load = KEYS[k + 4],
    id = ARGV[a + 1], kind = ARGV[a + 2], lane = ARGV[a + 3], location = ARGV[a + 4], contact = ARGV[a + 5],
    fp = ARGV[a + 6], event_ms = tonumber(ARGV[a + 7]), tags = ARGV[a + 8], payload = ARGV[a + 9],
    attempts_max = ARGV[a + 10], delivery_ms = tonumber(ARGV[a + 11]), retention_ms = ARGV[a + 12] }
  local earlier = lead.delivery_ms > 0 and redis.call("GET", lead.dedup)
  if earlier and lead.kind == "workflow" and redis.call("HGET", prefix .. "job:" .. earlier, "state") == "FAILED_FINAL" then
    earlier = false  -- the workflow may try again what failed
  end
  if earlier == lead.id or redis.call("EXISTS", lead.job) == 1 then
    answers[#answers + 1] = { "queued", lead.id }  -- our own call, sent again
  elseif earlier then
    answers[#answers + 1] = { "duplicate", earlier }
  else
    local seen = redis.call("HMGET", lead.seen, "fp", "job", "tags", "at", "made")
    lead.last_fp, lead.last_job, lead.last_tags, lead.last_at, lead.last_made = unpack(seen)
    lead.last_state = lead.last_job and redis.call("HGET", prefix .. "job:" .. lead.last_job, "state")
    lead.last_waiting = lead.last_state == "QUEUED" or lead.last_state == "RETRY_SCHEDULED"
    lead.last_busy = lead.last_waiting or lead.last_state == "PROCESSING"
    answers[#answers + 1] = kinds[lead.kind](lead)
  end
end
return answers
