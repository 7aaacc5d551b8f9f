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
ARGV[5] keep: newest jobs kept in dead  ARGV[6] attempts_max  ARGV[7] retention_ms of a payload whose job ended
then for each lead 11: id, kind (new|import|workflow|opportunity|update|tags|delete), lane, location, contact,
fingerprint ("" no address), event_ms (0 unknown), trigger tags (",a,b,", "-" unknown), payload,
delivery_ms (0: no delivery key), erased (of an import: the hash that says when its contact was erased)
Returns for each lead {"queued", id} | {"duplicate", id} | {"ignored", why}.
]]
local wait = { live = KEYS[1], bulk = KEYS[2] }
local sched, marker, events, counts, dead = KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
local prefix, seen_ms, dedup_ms, unknown_updates = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4] == "1"
local keep, attempts_max, retention_ms = tonumber(ARGV[5]), ARGV[6], ARGV[7]
local now = now_ms()
local pushed = { live = {}, bulk = {} }

local function has_new_tag(tags, last_tags)
  for tag in string.gmatch(tags, "[^,]+") do
    if not string.find(last_tags, "," .. tag .. ",", 1, true) then return true end
  end
  return false
end

-- Told of a time before what is known: it came late, and what it tells is not how the contact is.
local function is_stale(lead)
  return lead.event_ms > 0 and lead.event_ms < tonumber(lead.last_at or "0")
end

-- The contact's last job wrote, or will write, what this event does not tell. HighLevel's clock and ours need not agree
-- to the second; one read too many costs little.
local function is_overtaken(lead)
  if not lead.tail_state then return false end
  if lead.tags == "-" then return true end  -- it may carry our tags
  local told = lead.event_ms > 0 and lead.event_ms or now
  return is_busy(lead.tail_state) or (lead.tail_finished and told < tonumber(lead.tail_finished) + 10000)
end

-- Events of these kinds are no word about the address, even where they carry one: an older one that is must still count.
local silent = { opportunity = true, tags = true }

-- What is known of the contact from now on; `more` are further fields of its hash.
local function remember(lead, with_address, ...)
  local fields = { ... }
  if not silent[lead.kind] then
    fields[#fields + 1] = "at"
    fields[#fields + 1] = int(math.max(lead.event_ms, tonumber(lead.last_at or "0")))
  end
  if lead.tags ~= "-" then fields[#fields + 1] = "tags"; fields[#fields + 1] = lead.tags end
  if with_address then fields[#fields + 1] = "fp"; fields[#fields + 1] = lead.fp end
  if #fields > 0 then redis.call("HSET", lead.seen, unpack(fields)) end
  redis.call("PEXPIRE", lead.seen, seen_ms)
end

-- An answer that is not the same when asked again is kept with the id it was given to.
local function answered(lead, verb, text)
  redis.call("HSET", lead.seen, "by", lead.id .. "|" .. verb .. "|" .. text)
  return { verb, text }
end

local function duplicate(lead, id)
  if lead.delivery_ms > 0 then redis.call("SET", lead.dedup, id, "PX", int(lead.delivery_ms)) end
  return answered(lead, "duplicate", id)
end

local function replace_waiting(lead)
  redis.call("SET", prefix .. "load:" .. lead.tail, lead.payload)
  remember(lead, true, "made", int(now))
  return duplicate(lead, lead.tail)
end

local function create(lead)
  redis.call("HSET", lead.job, "state", "QUEUED", "lane", lead.lane, "contact", lead.contact,
    "location", lead.location, "max", attempts_max, "created", int(now))
  redis.call("SET", lead.load, lead.payload)
  if is_stale(lead) or is_overtaken(lead) then
    redis.call("HSET", lead.job, "stale", 1)  -- works on the contact as read, not as told
  end
  if is_busy(lead.tail_state) then
    redis.call("HSET", lead.job, "after", lead.tail)
    redis.call("HSET", prefix .. "job:" .. lead.tail, "behind", lead.id)
    redis.call("ZADD", sched, int(now + 60000), lead.id)  -- looked at again even if nobody lets it go
  else
    table.insert(pushed[lead.lane], lead.id)
  end
  move(lead.lane, nil, "QUEUED")
  remember(lead, not silent[lead.kind] and not (is_stale(lead) and lead.last_fp), "job", lead.id, "made", int(now))
  if lead.has_tail then redis.call("HDEL", lead.seen, "tail") end
  if lead.delivery_ms > 0 then redis.call("SET", lead.dedup, lead.id, "PX", int(lead.delivery_ms)) end
  tell("queued", lead.id, lead.contact, lead.location, lead.lane, "0", "")
  return { "queued", lead.id }
end

-- What this call took in goes to its lanes, and wakes who sleeps.
local function push()
  for lane, ids in pairs(pushed) do
    if #ids > 0 then
      redis.call("RPUSH", wait[lane], unpack(ids))
      wake(marker)
      pushed[lane] = {}
    end
  end
end

-- The contact is gone: nothing that waits for it can work any more. What is at work will find out by itself; a job
-- that comes for the contact all the same still waits for it.
local function bury_waiting(lead)
  push()
  local id = lead.tail
  for _ = 1, 50 do
    local f = id and redis.call("HMGET", prefix .. "job:" .. id, "state", "lane", "after", "tries")
    if not f or not is_waiting(f[1]) then
      if not f or f[1] ~= "PROCESSING" then id = false end
      break
    end
    local job = { state = f[1], contact = lead.contact, location = lead.location, lane = f[2], tries = f[4] }
    fail_waiting(prefix, sched, dead, now, id, job, "contact_not_found",
      "the contact was deleted in HighLevel", retention_ms)
    redis.call("HDEL", prefix .. "job:" .. id, "after", "behind")
    id = f[3]
  end
  redis.call("DEL", lead.seen)
  if id then
    redis.call("HDEL", prefix .. "job:" .. id, "behind")
    redis.call("HSET", lead.seen, "tail", id)
    redis.call("PEXPIRE", lead.seen, seen_ms)
  end
  retain(prefix, dead, keep, "FAILED_FINAL")
end

local kinds = {}

function kinds.new(lead)
  local same = lead.last_job and lead.last_fp == lead.fp and now - tonumber(lead.last_made or "0") < dedup_ms
  if same and lead.last_state ~= "FAILED_FINAL" then
    remember(lead, false)
    return duplicate(lead, lead.last_job)
  end
  return create(lead)
end
kinds.workflow, kinds.import = kinds.new, kinds.new

function kinds.opportunity(lead)
  if is_waiting(lead.tail_state) then return duplicate(lead, lead.tail) end
  return create(lead)
end

function kinds.update(lead)
  if is_stale(lead) then
    return { "ignored", "older than what is known of this contact" }
  end
  if lead.fp == "" then
    remember(lead, false)
    return { "ignored", "no address" }
  end
  if not lead.last_fp and not lead.last_job and not unknown_updates then
    remember(lead, true)
    return answered(lead, "ignored", "contact never seen")
  end
  if lead.last_fp == lead.fp then
    remember(lead, false)
    return { "ignored", "address unchanged" }
  end
  if is_waiting(lead.tail_state) then return replace_waiting(lead) end
  return create(lead)
end

function kinds.tags(lead)
  local fresh = lead.tags ~= "-" and has_new_tag(lead.tags, lead.last_tags or "")
  if not fresh then
    remember(lead, false)
    return { "ignored", "no new trigger tag" }
  end
  if is_waiting(lead.tail_state) then
    remember(lead, false)
    return duplicate(lead, lead.tail)
  end
  return create(lead)
end

function kinds.delete(lead)
  bury_waiting(lead)
  return { "ignored", "contact deleted" }
end

-- Whoever imports a contact that was erased since brings it anew; a webhook that is sent again must not. That the job is
-- gone says nothing alone: of a long import the first ones are not kept until its end.
local function was_erased_since(lead, id)
  if redis.call("EXISTS", prefix .. "job:" .. id) == 1 then return false end
  local mark = redis.call("GET", prefix .. "erased:" .. lead.erased)
  return mark and id < mark
end

local answers = {}
for i = 0, (#ARGV - 7) / 11 - 1 do
  local k, a = 7 + i * 4, 7 + i * 11
  local lead = { dedup = KEYS[k + 1], seen = KEYS[k + 2], job = KEYS[k + 3], load = KEYS[k + 4],
    id = ARGV[a + 1], kind = ARGV[a + 2], lane = ARGV[a + 3], location = ARGV[a + 4], contact = ARGV[a + 5],
    fp = ARGV[a + 6], event_ms = tonumber(ARGV[a + 7]), tags = ARGV[a + 8], payload = ARGV[a + 9],
    delivery_ms = tonumber(ARGV[a + 10]), erased = ARGV[a + 11] }
  local earlier = lead.delivery_ms > 0 and redis.call("GET", lead.dedup)
  if earlier and lead.kind == "workflow" and redis.call("HGET", prefix .. "job:" .. earlier, "state") == "FAILED_FINAL" then
    earlier = false  -- the workflow may try again what failed
  elseif earlier and lead.kind == "import" and was_erased_since(lead, earlier) then
    earlier = false
  end
  if earlier == lead.id or redis.call("EXISTS", lead.job) == 1 then
    answers[#answers + 1] = { "queued", lead.id }  -- our own call, sent again
  elseif earlier then
    answers[#answers + 1] = { "duplicate", earlier }
  else
    local seen = redis.call("HMGET", lead.seen, "fp", "job", "tags", "at", "made", "tail", "by")
    lead.last_fp, lead.last_job, lead.last_tags, lead.last_at, lead.last_made = unpack(seen, 1, 5)
    lead.last_state = lead.last_job and redis.call("HGET", prefix .. "job:" .. lead.last_job, "state")
    lead.has_tail = seen[6]
    lead.tail = seen[6] or lead.last_job  -- the last of the contact's row: who comes next waits behind it
    if lead.tail then
      lead.tail_state, lead.tail_finished = unpack(redis.call("HMGET", prefix .. "job:" .. lead.tail, "state", "finished"), 1, 2)
    end
    local before, verb, text = string.match(seen[7] or "", "^([^|]*)|([^|]*)|(.*)$")
    answers[#answers + 1] = before == lead.id and { verb, text } or kinds[lead.kind](lead)
  end
end
push()
close(counts, events)
return answers
