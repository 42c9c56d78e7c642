#!/usr/bin/env python3
"""What the proxy does to the timing of a stream, recorded and replayed, against a provider on loopback.

    stream-timing.py [--runner PATH] [--replays N] [--requests N]

Prints its figures and ends with 1 when one is out of bounds:
- a stream of 12 events 50 ms apart comes back in realtime with the same bytes, the same chunks, and gaps that differ
  from the recorded ones by less than 5 ms (99th percentile);
- while recording, the first event is not more than 2 ms later than without the proxy (median), and an event is passed
  on within 1 ms (median).

The runner should be a release build: cargo build --release. All clocks are CLOCK_MONOTONIC, which processes share.
"""

import argparse
import contextlib
import json
import multiprocessing
import os
import pathlib
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
EVENTS = 12
GAP = 0.050
QUICK_GAP = 0.002
MOST_GAP_ERROR_MS = 5.0
MOST_FIRST_EVENT_MS = 2.0
MOST_ADDED_MS = 1.0


def now_ns():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Provider:
    """Streams events; each carries the time at which it was sent."""

    def __init__(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        # A process of its own, so that it does not wait for the client's interpreter.
        self.process = multiprocessing.get_context("fork").Process(target=serve, args=(listener,), daemon=True)
        self.process.start()
        listener.close()

    def stop(self):
        self.process.terminate()
        self.process.join()


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer_all, args=(connection,), daemon=True).start()


def answer_all(connection):
    received = connection.makefile("rb")
    while line := received.readline():
        path = line.split()[1].decode()
        length = 0
        while (header := received.readline()) not in (b"\r\n", b""):
            name, _, value = header.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        received.read(length)
        gap = GAP if path.startswith("/paced") else QUICK_GAP
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        )
        due = time.monotonic()
        for number in range(EVENTS):
            time.sleep(max(0.0, due - time.monotonic()))
            due += gap
            event = b'data: {"number": %d, "sent_ns": %d}\n\n' % (number, now_ns())
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))
        connection.sendall(b"0\r\n\r\n")


class Client:
    """One connection that is kept, as a stack's client keeps it."""

    def __init__(self, port, prefix=""):
        self.prefix = prefix
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, path, body):
        """The time at which the request left, and every chunk with the time at which it was complete."""
        body = json.dumps(body).encode()
        head = f"POST {self.prefix}{path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        request = f"{head}content-length: {len(body)}\r\n\r\n".encode() + body
        started = now_ns()
        self.socket.sendall(request)
        buffer, chunks, in_body = b"", [], False
        while True:
            data = self.socket.recv(65536)
            at = now_ns()
            if not data:
                raise SystemExit("stream-timing: the connection was closed early")
            buffer += data
            if not in_body:
                head, separator, rest = buffer.partition(b"\r\n\r\n")
                if not separator:
                    continue
                if b" 200 " not in head.split(b"\r\n")[0]:
                    raise SystemExit(f"stream-timing: {head.decode()}\n{rest.decode(errors='replace')}")
                buffer, in_body = rest, True
            while b"\r\n" in buffer:
                size, _, rest = buffer.partition(b"\r\n")
                length = int(size, 16)
                if len(rest) < length + 2:
                    break
                if length == 0:
                    return started, chunks
                chunks.append((at, rest[:length]))
                buffer = rest[length + 2 :]


@contextlib.contextmanager
def proxy(runner, directory, upstream, *flags):
    command = [runner, "proxy", "--recording-dir", directory, "--provider", f"p=http://127.0.0.1:{upstream}", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        match = re.search(r"127\.0\.0\.1:(\d+)/p", process.stdout.readline())
        if not match:
            raise SystemExit("stream-timing: the proxy did not start")
        yield int(match[1])
    finally:
        process.send_signal(signal.SIGTERM)
        if process.wait(60) != 0:
            raise SystemExit("stream-timing: the proxy did not end well")


def first_event_ms(asked):
    started, chunks = asked
    return (chunks[0][0] - started) / 1e6


def latencies_ms(asked):
    return [(at - json.loads(chunk[6:])["sent_ns"]) / 1e6 for at, chunk in asked[1]]


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def recorded_gaps_ms(directory):
    """Of the paced stream, as the file has them."""
    for path in pathlib.Path(directory, "responses").glob("*.json"):
        recording = json.loads(path.read_text())
        if "/paced" in recording["request"]["url"]:
            return [chunk["gap_ms"] for chunk in recording["response"]["chunks"]]
    raise SystemExit("stream-timing: the stream was not recorded")


def ahead_of_others():
    """Where the system permits it, nothing else on the machine runs before what is measured; children inherit it."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
        return "with real-time priority"
    except (OSError, AttributeError):
        return "with ordinary priority: what else this machine does is in the figures"


def jitter_ms():
    """How late this machine wakes a program: the part of the figures that is not the proxy's."""
    late = []
    for _ in range(40):
        started = time.monotonic()
        time.sleep(0.010)
        late.append((time.monotonic() - started) * 1e3 - 10)
    return percentile(late, 0.99)


class Verdict:
    def __init__(self):
        self.failed = False

    def say(self, what, value, bound=None):
        ok = bound is None or value < bound
        self.failed |= not ok
        limit = "" if bound is None else f"   bound {bound:g} ms   {'ok' if ok else 'OUT OF BOUNDS'}"
        print(f"{what:<58}{value:9.3f} ms{limit}")

    def same(self, what, equal):
        self.failed |= not equal
        print(f"{what:<58}{'the same' if equal else 'DIFFERENT':>12}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runner", default=str(ROOT / "target/release/runner"))
    parser.add_argument("--replays", type=int, default=20)
    parser.add_argument("--requests", type=int, default=150)
    args = parser.parse_args()
    if not pathlib.Path(args.runner).is_file():
        raise SystemExit(f"stream-timing: {args.runner} is absent; cargo build --release")
    verdict = Verdict()
    priority = ahead_of_others()
    provider = Provider()
    with tempfile.TemporaryDirectory() as directory:
        with proxy(args.runner, directory, provider.port, "--inference-mode", "record") as port:
            direct, through = Client(provider.port), Client(port, "/p")
            recorded = through.ask("/paced", {"stream": True})[1]
            pairs = []
            for number in range(args.requests):
                body = {"stream": True, "number": number}
                # In turns, and each first in half of the pairs, so that what else the machine does meets both.
                asked = [lambda: direct.ask("/quick", body), lambda: through.ask("/quick", body)]
                if number % 2:
                    pairs.append(tuple(reversed([ask() for ask in reversed(asked)])))
                else:
                    pairs.append(tuple(ask() for ask in asked))
        gaps = recorded_gaps_ms(directory)
        with proxy(args.runner, directory, provider.port, "--replay-speed", "realtime") as port:
            client = Client(port, "/p")
            replays = [client.ask("/paced", {"stream": True})[1] for _ in range(args.replays)]
        with proxy(args.runner, directory, provider.port) as port:
            started, chunks = Client(port, "/p").ask("/paced", {"stream": True})
            fast_ms = (chunks[-1][0] - started) / 1e6
    provider.stop()

    pieces = [chunk for _, chunk in recorded]
    print(f"{EVENTS} events {GAP * 1e3:g} ms apart, {args.replays} replays; {args.requests} requests with and without; {priority}")
    verdict.say("this machine wakes a sleeper late by (99th percentile)", jitter_ms())
    verdict.same("bytes", all(b"".join(c for _, c in r) == b"".join(pieces) for r in replays))
    verdict.same("chunks", all([c for _, c in replay] == pieces for replay in replays))
    verdict.same("chunks, replayed fast", [chunk for _, chunk in chunks] == pieces)
    errors = [
        abs((replay[i][0] - replay[i - 1][0]) / 1e6 - gaps[i]) for replay in replays for i in range(1, len(replay))
    ]
    verdict.say("gap error in realtime, median", statistics.median(errors))
    verdict.say("gap error in realtime, 99th percentile", percentile(errors, 0.99), MOST_GAP_ERROR_MS)
    verdict.say("gap error in realtime, largest", max(errors))
    verdict.say("the whole stream, replayed fast", fast_ms)
    first = [statistics.median(first_event_ms(pair[side]) for pair in pairs) for side in (0, 1)]
    verdict.say("first event without the proxy, median", first[0])
    verdict.say("first event while recording, median", first[1])
    verdict.say("difference", abs(first[1] - first[0]), MOST_FIRST_EVENT_MS)
    passed = [[ms for pair in pairs for ms in latencies_ms(pair[side])] for side in (0, 1)]
    medians = [statistics.median(side) for side in passed]
    verdict.say("an event's way to the client without the proxy, median", medians[0])
    verdict.say("an event's way to the client while recording, median", medians[1])
    verdict.say("added by the proxy, median", medians[1] - medians[0], MOST_ADDED_MS)
    verdict.say("added by the proxy, 99th percentile", percentile(passed[1], 0.99) - percentile(passed[0], 0.99))
    return 1 if verdict.failed else 0


if __name__ == "__main__":
    sys.exit(main())
