-- What is done to one sign-in, each step whole or not at all.
--
-- KEYS[1]  its hash: sign_in, as it was begun; code, the digest of the code that is its own; till,
--          the millisecond until which somebody exchanges it; outcome, what came of that
-- ARGV     begin, sign_in, milliseconds
--          read
--          claim, code, milliseconds
--          finish, outcome, milliseconds
--          release
-- returns  read: sign_in or none
--          claim: none, or sign_in, 1 where it is the caller's to exchange, else 0, and the outcome

local key, step = KEYS[1], ARGV[1]

if step == 'begin' then
  if redis.call('HSETNX', key, 'sign_in', ARGV[2]) == 1 then
    redis.call('PEXPIRE', key, ARGV[3])
  end
  return
end

local kept = redis.call('HMGET', key, 'sign_in', 'code', 'till', 'outcome')
if not kept[1] then return false end
if step == 'read' then return kept[1] end

if step == 'claim' then
  if kept[2] and kept[2] ~= ARGV[2] then return false end
  if kept[4] then return { kept[1], 0, kept[4] } end
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  if tonumber(kept[3] or 0) > now then return { kept[1], 0 } end
  redis.call('HSET', key, 'code', ARGV[2], 'till', now + ARGV[3])
  return { kept[1], 1 }
end

if step == 'finish' then
  redis.call('HSET', key, 'outcome', ARGV[2], 'till', 0)
  redis.call('PEXPIRE', key, ARGV[3])
elseif step == 'release' then
  redis.call('HSET', key, 'till', 0)
end
