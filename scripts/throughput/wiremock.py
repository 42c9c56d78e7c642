"""wiremock.py DIR COUNT ANSWER_BYTES: the recordings of recordings.py as WireMock stubs, matched on the JSON body."""

import json
import sys
from pathlib import Path

from recordings import answer, request


def main():
    directory, count, size = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    (directory / "mappings").mkdir(parents=True)
    stubs = [
        {
            "request": {
                "method": "POST",
                "urlPath": "/v1/chat/completions",
                "bodyPatterns": [{"equalToJson": json.dumps(request(number))}],
            },
            "response": {
                "status": 200,
                "headers": {"content-type": "application/json"},
                "body": json.dumps(answer(number, size), separators=(",", ":")),
            },
        }
        for number in range(count)
    ]
    (directory / "mappings" / "all.json").write_text(json.dumps({"mappings": stubs}))


main()
