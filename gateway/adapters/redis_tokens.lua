-- What is done to one token, each step whole or not at all.
--
-- KEYS[1]  the token's hash: value, fence, fetched, expires; issued, the number of the last refresh
--          that was let through; till, the millisecond until which no other is
-- ARGV     claim, the fence that is to be replaced, milliseconds
--          put, the token's four fields
--          give_up, the fence of the refresh that failed, milliseconds
-- returns  claim: the newer token's four fields or none, then the number of the refresh or 0
--          put, give_up: 1 where the refresh was the last, else 0

local key, step = KEYS[1], ARGV[1]
local kept = redis.call('HMGET', key, 'value', 'fence', 'fetched', 'expires', 'issued', 'till')
local fence, issued, till = tonumber(kept[2] or 0), tonumber(kept[5] or 0), tonumber(kept[6] or 0)
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
-- A token nobody asks for any more, of an account that is gone, is forgotten after 30 days.
local forgotten = 30 * 24 * 3600 * 1000

if step == 'claim' then
  if fence > tonumber(ARGV[2]) then return { kept[1], kept[2], kept[3], kept[4], 0 } end
  if till > now then return { 0 } end
  issued = math.max(issued, fence) + 1
  redis.call('HSET', key, 'issued', issued, 'till', now + tonumber(ARGV[3]))
  redis.call('PEXPIRE', key, forgotten)
  return { issued }
end

local of = tonumber(step == 'put' and ARGV[3] or ARGV[2])
if of ~= issued then return 0 end
if step == 'put' then
  redis.call('HSET', key, 'value', ARGV[2], 'fence', of, 'fetched', ARGV[4], 'expires', ARGV[5],
    'till', 0)
else
  redis.call('HSET', key, 'till', now + tonumber(ARGV[3]))
end
redis.call('PEXPIRE', key, forgotten)
return 1
