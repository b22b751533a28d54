-- Asks whether sessions hold: each request with the next token of a file, a line each; without the
-- file, with none. Counts answers that are not what they should be.
--
-- Arguments: the status that is right, and the file.

local threads = {}
local tokens, right, at = {}, 200, 0

wrong = 0 -- global, for done() reads it from another Lua state

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  right = tonumber(args[1])
  if args[2] then
    for line in io.lines(args[2]) do tokens[#tokens + 1] = line end
  end
end

function request()
  if #tokens == 0 then return wrk.format("GET", "/session/verify") end
  at = at % #tokens + 1
  return wrk.format("GET", "/session/verify", { Cookie = "gateway_session=" .. tokens[at] })
end

function response(status, headers)
  local told = headers["x-auth-user"] ~= nil
  if status ~= right or told ~= (right == 200) then wrong = wrong + 1 end
end

function done(summary, latency)
  local every = 0
  for _, thread in ipairs(threads) do every = every + thread:get("wrong") end
  io.write(string.format(
    'RESULT {"seconds": %.6f, "requests": %.0f, "p50_ms": %.3f, "p99_ms": %.3f, "wrong": %.0f}\n',
    summary.duration / 1e6, summary.requests, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3,
    every + summary.errors.connect + summary.errors.read + summary.errors.write
      + summary.errors.timeout
  ))
end
