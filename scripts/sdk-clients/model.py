"""A model provider that is no model: answers OpenAI's API by rules, so that clients can be checked without one."""

import hashlib
import http.server
import json
import threading

MODEL = "scripted"
DIMENSIONS = 16


def answer(body: dict) -> dict:
    """A tool call when there are tools and none was called yet, otherwise what was said last."""
    messages = body["messages"]
    results = [m for m in messages if m["role"] == "tool"]
    if body.get("tools") and not results:
        function = body["tools"][0]["function"]
        arguments = {"celsius": True} if "celsius" in json.dumps(function) else {}
        call = {"id": "call_1", "type": "function", "function": {"name": function["name"], "arguments": json.dumps(arguments)}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    last = (results or messages)[-1]["content"]
    text = last if isinstance(last, str) else " ".join(part.get("text", "") for part in last)
    return {"role": "assistant", "content": f"You said: {text}"}


def embedding(text: str) -> list[float]:
    """Texts with the same words are near each other."""
    vector = [0.0] * DIMENSIONS
    for word in text.lower().split():
        vector[hashlib.sha256(word.encode()).digest()[0] % DIMENSIONS] += 1.0
    return vector


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, value: dict) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        self.reply({"object": "list", "data": [{"id": name, "object": "model"} for name in (MODEL, "text-embedding-3-small")]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
            data = [{"object": "embedding", "index": i, "embedding": embedding(text)} for i, text in enumerate(inputs)]
            self.reply({"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 1, "total_tokens": 1}})
            return
        message = answer(body)
        base = {"id": "chatcmpl-1", "created": 1, "model": body["model"]}
        reason = "tool_calls" if message.get("tool_calls") else "stop"
        if not body.get("stream"):
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choice = {"index": 0, "message": message, "finish_reason": reason}
            self.reply(base | {"object": "chat.completion", "choices": [choice], "usage": usage})
            return
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        if message.get("tool_calls"):
            calls = [call | {"index": i} for i, call in enumerate(message["tool_calls"])]
            deltas = [{"role": "assistant", "tool_calls": calls}]
        else:
            deltas = [{"role": "assistant", "content": word} for word in message["content"].split(" ")]
        for delta in deltas:
            self.event(base | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        self.event(base | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def event(self, value: dict) -> None:
        self.wfile.write(f"data: {json.dumps(value)}\n\n".encode())


def start() -> str:
    """Serves on a free port for as long as the process lives; the address."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"
