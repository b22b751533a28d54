-- Take entries of a lane: those that dead consumers left, then those that are due.
--
-- KEYS[1]  the prefix of all keys
-- ARGV     lane, consumer, how many, milliseconds of an entry's lease, and of a consumer's absence
-- returns  MessagePack: for each {id, payload, deliveries, milliseconds when it was stored}

local prefix, lane, consumer = KEYS[1], ARGV[1], ARGV[2]
local limit, lease, absence = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local stream, due = prefix .. 'lane:' .. lane, prefix .. 'due:' .. lane
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local taken = {}

local function add(id, fields, times)
  taken[#taken + 1] = { id, fields[2], fields[6] + times, tonumber(fields[4]) }
end

-- A stream that was lost, or that nobody wrote to yet, has no group.
if redis.call('EXISTS', stream) == 0 and redis.call('EXISTS', due) == 0 then
  return cmsgpack.pack(taken)
end
local created = redis.pcall('XGROUP', 'CREATE', stream, 'gateway', '0', 'MKSTREAM')
if created.err and not string.find(created.err, 'BUSYGROUP') then return created end

-- Every process that ever consumed is known to the group by name, until somebody removes it.
if redis.call('SET', prefix .. 'tidied:' .. lane, '', 'NX', 'PX', absence) then
  for _, known in ipairs(redis.call('XINFO', 'CONSUMERS', stream, 'gateway')) do
    local name, pending, idle = known[2], known[4], known[6]
    if pending == 0 and idle >= absence then
      redis.call('XGROUP', 'DELCONSUMER', stream, 'gateway', name)
    end
  end
end

for _, member in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, limit)) do
  local _, payload, stored, times = unpack(cmsgpack.unpack(member))
  redis.call('XADD', stream, '*', 'e', payload, 's', stored, 'n', times)
  redis.call('ZREM', due, member)
end

-- One call looks at ten times as many entries as it may return, and may return none of them.
local cursor = '0-0'
repeat
  local found = redis.call('XAUTOCLAIM', stream, 'gateway', consumer, lease, cursor,
    'COUNT', limit - #taken)
  cursor = found[1]
  for _, entry in ipairs(found[2]) do
    -- Where it was deleted meanwhile, older servers return nothing in its place.
    if entry and entry[2] then
      local times = redis.call('XPENDING', stream, 'gateway', entry[1], entry[1], 1)[1][4]
      add(entry[1], entry[2], times)
    end
  end
until cursor == '0-0' or #taken >= limit

if #taken < limit then
  local read = redis.call('XREADGROUP', 'GROUP', 'gateway', consumer,
    'COUNT', limit - #taken, 'STREAMS', stream, '>')
  for _, entry in ipairs(read and read[1] and read[1][2] or {}) do
    add(entry[1], entry[2], 1)
  end
end
return cmsgpack.pack(taken)
