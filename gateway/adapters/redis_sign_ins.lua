-- What is done to one sign-in, each step whole or not at all.
--
-- KEYS[1]  its hash: code, the digest of the code that is its own; till, the millisecond until which
--          somebody exchanges it; finished. Beside it KEYS[1] .. ':outcome', what came of that,
--          which is gone earlier.
-- ARGV     claim, code, milliseconds for the exchange, milliseconds that the sign-in is known
--          finish, outcome, milliseconds
--          release
-- returns  claim: none where the code is another; else mine, waits, done or spent; done with the
--          outcome

local key, step = KEYS[1], ARGV[1]
local outcome = key .. ':outcome'
local kept = redis.call('HMGET', key, 'code', 'till', 'finished')
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

if step == 'claim' then
  if kept[1] and kept[1] ~= ARGV[2] then return false end
  if kept[3] then
    local found = redis.call('GET', outcome)
    if found then return { 'done', found } end
    return { 'spent' }
  end
  if tonumber(kept[2] or 0) > now then return { 'waits' } end
  redis.call('HSET', key, 'code', ARGV[2], 'till', now + ARGV[3])
  if not kept[1] then redis.call('PEXPIRE', key, ARGV[4]) end
  return { 'mine' }
end

if not kept[1] then return end
if step == 'finish' then
  redis.call('HSET', key, 'finished', 1)
  redis.call('SET', outcome, ARGV[2], 'PX', ARGV[3])
elseif step == 'release' then
  redis.call('HSET', key, 'till', 0)
end
