-- What is done to sessions, each step whole or not at all.
--
-- KEYS[1]  the prefix of all keys: prefix .. 'id:' .. id, a hash of a session's person and context;
--          prefix .. 'of:' .. person, the ids of a person's sessions by the millisecond in which
--          each expires. A key is gone when nothing in it is good any more.
-- ARGV     put, change: id, person, the millisecond in which it expires, context
--          get, revoke: ids
--          of: people
-- returns  get: each context, or an empty text
--          of: the contexts
--          change: 1 where the session was there, else 0; revoke: how many were there

local prefix, step = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function keep(id, person, till, context)
  local key, of = prefix .. 'id:' .. id, prefix .. 'of:' .. person
  redis.call('HSET', key, 'person', person, 'context', context)
  redis.call('PEXPIREAT', key, till)
  redis.call('ZADD', of, till, id)
  redis.call('ZREMRANGEBYSCORE', of, '-inf', now)
  local last = redis.call('ZRANGE', of, -1, -1, 'WITHSCORES')[2]
  if last then redis.call('PEXPIREAT', of, string.format('%.0f', last)) end
end

local function forget(id)
  local key = prefix .. 'id:' .. id
  local person = redis.call('HGET', key, 'person')
  if person then redis.call('ZREM', prefix .. 'of:' .. person, id) end
  return redis.call('DEL', key)
end

if step == 'put' then return keep(ARGV[2], ARGV[3], ARGV[4], ARGV[5]) end

if step == 'change' then
  local person = redis.call('HGET', prefix .. 'id:' .. ARGV[2], 'person')
  if not person then return 0 end
  if person ~= ARGV[3] then redis.call('ZREM', prefix .. 'of:' .. person, ARGV[2]) end
  keep(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
  return 1
end

if step == 'revoke' then
  local gone = 0
  for at = 2, #ARGV do gone = gone + forget(ARGV[at]) end
  return gone
end

local found = {}
if step == 'get' then
  for at = 2, #ARGV do
    found[at - 1] = redis.call('HGET', prefix .. 'id:' .. ARGV[at], 'context') or ''
  end
else
  for at = 2, #ARGV do
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'of:' .. ARGV[at], now, '+inf')) do
      found[#found + 1] = redis.call('HGET', prefix .. 'id:' .. id, 'context') or nil
    end
  end
end
return found
