-- wrk's requests: `wrk ... -- FORM [TOKEN]`
--   FORM      a file whose one line is the body, its number 00000000; or, one a line, signature TAB body
--   TOKEN     sent as X-Webhook-Token
local number, requests, before, after = 0, {}, "", ""

function init(arguments)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["X-Webhook-Token"] = arguments[2]
  for line in io.lines(arguments[1]) do
    local signature, body = line:match("^([^\t]*)\t(.*)$")
    if signature then
      requests[#requests + 1] = wrk.format(nil, nil, { ["Content-Type"] = "application/json",
        ["X-GHL-Signature"] = signature, ["Host"] = wrk.headers["Host"] }, body)
    else
      before, after = line:match("^(.-)00000000(.*)$")
    end
  end
end

function request()
  number = number + 1
  if #requests > 0 then return requests[(number - 1) % #requests + 1] end
  return wrk.format(nil, nil, nil, before .. string.format("%08d", number) .. after)
end

function done(summary, latency)
  io.write(string.format('RESULT {"requests": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout))
end
