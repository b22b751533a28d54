-- Claims and lanes in Redis. The rules of claims.py once more, for one batch in one round trip.
--
-- KEYS[1]  the prefix of all keys, a hash tag: one slot in a cluster
-- ARGV[1]  MessagePack: {milliseconds a record is kept, of a claim's lease, of an entry's lease}
-- ARGV[2]  MessagePack: the steps, each an array of its number and its fields
-- returns  MessagePack: for each step {state, attempt, age in milliseconds, reply}
--
-- A record is {first, attempts, owner, lease, reply, stored, given_up}, times in milliseconds of
-- this server's clock, so that those of the gateways do not matter.

local prefix = KEYS[1]
local keep, lease, entry_lease = unpack(cmsgpack.unpack(ARGV[1]))
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local FRESH, IN_FLIGHT, DONE, LOST = 0, 1, 2, 3
local KEPT, GONE = { DONE, 0, 0, '' }, { LOST, 0, 0, '' }

-- An entry comes as {lane, payload, delay}.
local seen_lanes = {}
local function store(entries)
  for _, entry in ipairs(entries) do
    local lane = entry[1]
    if not seen_lanes[lane] then
      seen_lanes[lane] = true
      redis.call('SADD', prefix .. 'lanes', lane)
    end
    if entry[3] > 0 then
      local number = redis.call('INCR', prefix .. 'delayed')
      redis.call('ZADD', prefix .. 'due:' .. lane, now + entry[3],
        cmsgpack.pack({ number, entry[2], now, 0 }))
    else
      redis.call('XADD', prefix .. 'lane:' .. lane, '*', 'e', entry[2], 's', now, 'n', 0)
    end
  end
end

local function once(record, entries)
  if not record[6] then
    record[6] = #entries > 0
    store(entries)
  end
end

local rules = {}

rules[1] = function(record, owner, entries, reply, again, resume) -- Claim
  local held = record[3] ~= '' and record[4] > now
  local age = now - record[1]
  if resume then
    if held then return { IN_FLIGHT, record[2], age, '' } end
    if record[5] ~= '' and not record[7] then return { DONE, record[2], age, '' } end
    if record[5] == '' then record[5] = reply end
    record[7] = true
    record[3], record[4] = owner, now + lease
    return { FRESH, record[2], age, '' }
  end
  if not again then record[2] = record[2] + 1 end
  if record[5] ~= '' then return { DONE, record[2], age, record[5] } end
  if held and record[3] ~= owner then return { IN_FLIGHT, record[2], age, '' } end
  if reply ~= '' then
    record[5], record[4] = reply, now
  else
    record[3], record[4] = owner, now + lease
  end
  once(record, entries)
  return { FRESH, record[2], age, '' }
end

rules[2] = function(record, owner, reply, late) -- Finish
  if record[5] ~= '' and not record[7] then return { DONE, 0, 0, record[5] } end
  if record[3] ~= '' and record[3] ~= owner then
    if record[5] ~= '' then return { DONE, 0, 0, record[5] } end
    return GONE
  end
  record[3], record[4] = '', now
  if record[7] then
    record[7] = false
    store(late)
  else
    record[5] = reply
  end
  return { DONE, 0, 0, record[5] }
end

rules[3] = function(record, reply, entry) -- GiveUp
  if record[5] == '' then
    record[5], record[7] = reply, true
    store({ entry })
  end
  return { DONE, 0, 0, record[5] }
end

rules[4] = function(record, owner) -- Release
  if record[3] ~= owner then return GONE end
  record[3] = ''
  return KEPT
end

rules[5] = function(record, owner) -- Renew
  local open = record[7] or record[5] == ''
  if record[3] ~= owner and (record[3] ~= '' or not open) then return GONE end
  record[3], record[4] = owner, now + lease
  return { IN_FLIGHT, 0, 0, '' }
end

rules[6] = function(record, entries, reply, given_up) -- Put
  if given_up then
    if record[5] ~= reply then record[5], record[7] = reply, true end
  elseif reply ~= '' and (record[5] == '' or record[5] == reply) then
    record[5], record[3], record[7] = reply, '', false
  end
  once(record, entries)
  return { DONE, 0, 0, record[5] }
end

local function take_step(step)
  local key = prefix .. 'claim:' .. step[2]
  local found = redis.call('GET', key)
  local record = found and cmsgpack.unpack(found) or { now, 0, '', 0, '', false, false }
  local outcome = rules[step[1]](record, step[3], step[4], step[5], step[6], step[7])
  redis.call('SET', key, cmsgpack.pack(record), 'PX', math.max(1, record[1] + keep - now))
  return outcome
end

local function ack(lane, id)
  local stream = prefix .. 'lane:' .. lane
  -- An acknowledged entry stays in the stream until it is deleted. No group is no error here.
  redis.pcall('XACK', stream, 'gateway', id)
  return redis.call('XDEL', stream, id)
end

rules[7] = function(lane, id, entries) -- Ack
  if ack(lane, id) == 0 then return GONE end
  store(entries)
  return KEPT
end

rules[8] = function(lane, id, delay, deliveries) -- Retry
  local stream = prefix .. 'lane:' .. lane
  local found = redis.call('XRANGE', stream, id, id)[1]
  if not found then return GONE end
  local fields = found[2]
  local number = redis.call('INCR', prefix .. 'delayed')
  redis.call('ZADD', prefix .. 'due:' .. lane, now + delay,
    cmsgpack.pack({ number, fields[2], tonumber(fields[4]), deliveries }))
  ack(lane, id)
  return KEPT
end

rules[9] = function(lane, id, consumer) -- Hold
  local stream = prefix .. 'lane:' .. lane
  local found = redis.pcall('XPENDING', stream, 'gateway', id, id, 1)
  if found.err or not found[1] or found[1][2] ~= consumer then return GONE end
  redis.call('XCLAIM', stream, 'gateway', consumer, 0, id, 'JUSTID')
  return { IN_FLIGHT, 0, 0, '' }
end

local outcomes = {}
for i, step in ipairs(cmsgpack.unpack(ARGV[2])) do
  if step[1] < 7 then
    outcomes[i] = take_step(step)
  else
    outcomes[i] = rules[step[1]](step[2], step[3], step[4], step[5])
  end
end
return cmsgpack.pack(outcomes)
