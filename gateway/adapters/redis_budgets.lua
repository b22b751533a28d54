-- What is done to rate budgets, each step whole or not at all; gateway/outbound/budgets.py has the
-- same reckoning, and says why.
--
-- KEYS[1]  the prefix of all keys: prefix .. 'tat:' .. name, a theoretical arrival time in Unix
--          seconds, gone as soon as it is past; prefix .. 'paused', the ends of pauses by name
-- ARGV     take, give_back: of each budget its name, how many, the rate in a second or 0, the burst
--          pause, a name, Unix seconds
--          resume, a name
--          paused
-- returns  take: of each budget how many are granted, and the seconds to wait as text
--          paused: of each paused budget its name, and its end as text

local prefix, step = KEYS[1], ARGV[1]
local pauses = prefix .. 'paused'
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local tick = 0.000001

local function text(number) return string.format('%.17g', number) end

local function keep(name, tat)
  local key = prefix .. 'tat:' .. name
  if tat <= now then return redis.call('DEL', key) end
  redis.call('SET', key, text(tat), 'PX', math.ceil((tat - now) * 1000) + 1)
end

local function arrival(name) return tonumber(redis.call('GET', prefix .. 'tat:' .. name) or 0) end

local function take(name, wanted, per_second, burst)
  local paused = tonumber(redis.call('ZSCORE', pauses, name) or 0)
  if paused > now then return 0, paused - now end
  if per_second == 0 then return wanted, 0 end
  local full = burst / per_second
  local start = math.min(math.max(arrival(name), now), now + full + tick)
  local room = (full + tick - (start - now)) * per_second
  local granted = math.max(0, math.min(wanted, math.floor(room)))
  local after = start + granted / per_second
  if granted > 0 then keep(name, after) end
  if granted >= wanted then return granted, 0 end
  return granted, math.max(0, after - now - (burst - 1) / per_second)
end

local function give_back(name, count, per_second)
  if per_second > 0 then keep(name, arrival(name) - count / per_second) end
end

if step == 'take' or step == 'give_back' then
  local granted = {}
  for at = 2, #ARGV, 4 do
    local name, count = ARGV[at], tonumber(ARGV[at + 1])
    local per_second, burst = tonumber(ARGV[at + 2]), tonumber(ARGV[at + 3])
    if step == 'take' then
      local given, wait = take(name, count, per_second, burst)
      granted[#granted + 1] = given
      granted[#granted + 1] = text(wait)
    else
      give_back(name, count, per_second)
    end
  end
  return granted
end

if step == 'resume' then return redis.call('ZREM', pauses, ARGV[2]) end

redis.call('ZREMRANGEBYSCORE', pauses, '-inf', text(now))
if step == 'paused' then return redis.call('ZRANGE', pauses, 0, -1, 'WITHSCORES') end

redis.call('ZADD', pauses, 'GT', ARGV[3], ARGV[2])
local last = redis.call('ZREVRANGE', pauses, 0, 0, 'WITHSCORES')[2]
return redis.call('PEXPIREAT', pauses, string.format('%.0f', math.ceil(last * 1000) + 1))
