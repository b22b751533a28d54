-- Sends the records of a callback file (bench/load/callbacks.py), round and round, and writes each
-- reply to another file for the runner to check: "STATUS LENGTH\n", then the body.
--
-- Arguments: the callback file, the byte offset to begin at, the file for the replies.
-- The runner is told "ready" and "done" on stderr, and answers each with a line on stdin: in
-- between it reads how much CPU was taken.

local RECORD_HEAD = 8

local threads = {}
local callbacks, replies

sent = 0 -- global, for done() reads it from another Lua state

local function wait_for_runner(word)
  io.stderr:write(word, "\n")
  io.stderr:flush()
  io.read("*l")
end

function setup(thread)
  table.insert(threads, thread)
end

function init(args)
  callbacks = assert(io.open(args[1], "rb"))
  callbacks:seek("set", tonumber(args[2]))
  replies = assert(io.open(args[3], "wb"))
  replies:setvbuf("full", 1048576)
  wait_for_runner("ready")
end

function request()
  local head = callbacks:read(RECORD_HEAD)
  if not head then
    callbacks:seek("set", 0)
    head = callbacks:read(RECORD_HEAD)
  end
  sent = sent + 1
  return callbacks:read(tonumber(head))
end

function response(status, headers, body)
  replies:write(status, " ", #body, "\n", body)
end

function done(summary, latency, requests)
  wait_for_runner("done")
  -- wrk asks for one request more than it sends, to see whether it is well-formed.
  io.write(string.format(
    'RESULT {"microseconds": %.0f, "requests": %.0f, "sent": %.0f, "p50": %.0f, "p99": %.0f, '
      .. '"connect": %.0f, "read": %.0f, "write": %.0f, "timeout": %.0f}\n',
    summary.duration, summary.requests, threads[1]:get("sent") - 1,
    latency:percentile(50), latency:percentile(99),
    summary.errors.connect, summary.errors.read, summary.errors.write, summary.errors.timeout
  ))
end
