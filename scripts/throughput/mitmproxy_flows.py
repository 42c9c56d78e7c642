"""mitmproxy_flows.py FILE COUNT ANSWER_BYTES: the recordings of recordings.py as a mitmproxy flow file. Needs mitmproxy."""

import json
import sys

from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from recordings import answer, request

with open(sys.argv[1], "wb") as file:
    writer = FlowWriter(file)
    for number in range(int(sys.argv[2])):
        flow = tflow.tflow(resp=True)
        flow.request.method, flow.request.scheme = "POST", "http"
        flow.request.host, flow.request.port = "127.0.0.1", 9
        flow.request.path = "/v1/chat/completions"
        # As request.lua writes it: mitmproxy compares bodies byte by byte.
        flow.request.text = json.dumps(request(number), separators=(",", ":"))
        flow.response.status_code = 200
        flow.response.headers["content-type"] = "application/json"
        flow.response.text = json.dumps(answer(number, int(sys.argv[3])), separators=(",", ":"))
        writer.add(flow)
