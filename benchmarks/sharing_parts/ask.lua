-- Requests of wrk: one of many keys at a time, in a path or a body; what was answered is told as one line of JSON.
local method, path, body = os.getenv("ASK_METHOD"), os.getenv("ASK_PATH"), os.getenv("ASK_BODY")
local ids, first = os.getenv("ASK_IDS"), os.getenv("ASK_FIRST")
local requests, place, file, kept = {}, 0, nil, false

local function filled(text, key)
  return text and (text:gsub("{key}", function() return key end))
end

function init()
  for line in io.lines(os.getenv("ASK_HEADERS")) do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  for key in io.lines(os.getenv("ASK_KEYS")) do
    requests[#requests + 1] = wrk.format(method, filled(path, key), nil, filled(body, key))
  end
  place = math.floor(#requests * (os.time() % 97) / 97)
  if ids then file = io.open(ids, "w") end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

if ids or first then
  function response(status, headers, told)
    if file and status == 200 then file:write(headers["x-request-id"] or headers["X-Request-Id"] or "?", "\n") end
    if first and not kept then
      local out = io.open(first, "w")
      out:write(told)
      out:close()
      kept = true
    end
  end
end

function done(summary, latency)
  io.write(string.format(
    '\nTOLD {"answered": %d, "seconds": %.4f, "p50": %.3f, "p99": %.3f, "refused": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
