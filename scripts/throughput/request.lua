-- wrk script: asks "question n" for n from 0 to COUNT - 1 in turn, and counts answers that are no 200.
local count = tonumber(os.getenv("COUNT") or "1")
local number = 0

wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer none"

request = function()
  number = (number + 1) % count
  local body = '{"model":"m","messages":[{"role":"system","content":"You are a helpful assistant."},'
    .. '{"role":"user","content":"question ' .. number .. '"}],"temperature":0.0,"stream":false}'
  return wrk.format(nil, nil, nil, body)
end

done = function(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %.0f %.3f %.3f %d\n",
    summary.requests / (summary.duration / 1e6), latency:percentile(50) / 1000, latency:percentile(99) / 1000,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
