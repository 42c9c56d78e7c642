"""recordings.py DIR COUNT ANSWER_BYTES: writes COUNT synthetic recordings of chat completions, answers of about that size.

Recording n answers the prompt "question n". `request.lua` and `wiremock.py` ask and stub the same.
"""

import json
import sys
from pathlib import Path


def answer(number, size):
    content = f"answer {number} "
    body = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30},
    }
    filling = size - len(json.dumps(body, separators=(",", ":")))
    words = "lorem ipsum dolor sit amet "
    body["choices"][0]["message"]["content"] += (words * (max(filling, 0) // len(words) + 1))[: max(filling, 0)]
    return body


def request(number):
    return {
        "model": "m",
        "messages": [
            {"role": "system", "content": "You are a helpful assistant."},
            {"role": "user", "content": f"question {number}"},
        ],
        "temperature": 0.0,
        "stream": False,
    }


def recording(number, size):
    return {
        "request": {
            "method": "POST",
            "url": "http://127.0.0.1:9/v1/chat/completions",
            "endpoint": "/v1/chat/completions",
            "provider": "p",
            "model": "m",
            "headers": {"content-type": "application/json"},
            "body": request(number),
        },
        "response": {
            "status": 200,
            "headers": {"content-type": "application/json"},
            "is_streaming": False,
            "body": answer(number, size),
        },
        "meta": {
            "format": 1,
            "tool": "scripts/throughput/recordings.py",
            "recorded_at": "2025-01-01T00:00:00.000Z",
            "setup": None,
            "trials": [{"id": None, "answers": [1]}],
            "normaliser": "",
        },
    }


def main():
    directory, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    (directory / "responses").mkdir(parents=True, exist_ok=True)
    for number in range(count):
        text = json.dumps(recording(number, size), indent=2)
        (directory / "responses" / f"{number:012x}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
