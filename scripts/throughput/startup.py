"""startup.py RUNNER COUNT: start-up, look-ups and memory over COUNT recordings of 30 kB. See ../store-bench.sh."""

import http.client
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recordings import answer, recording, request

ANSWER_BYTES = 28_500  # a file of 30 kB
FEW = 100
LOOKUPS = 300


def write(directory, count):
    folder = Path(directory, "responses")
    folder.mkdir(parents=True)
    total = 0
    for number in range(count):
        total += (folder / f"{number:012x}.json").write_text(json.dumps(recording(number, ANSWER_BYTES), indent=2) + "\n")
    return total


def memory(process, name):
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def start(runner, directory):
    """The process, its port and the seconds until it listened."""
    began = time.monotonic()
    command = [runner, "proxy", "--recording-dir", directory, "--provider", "p=http://127.0.0.1:9"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    port = None
    while port is None:
        line = process.stdout.readline()
        if not line:
            sys.exit("the proxy did not start")
        if "http://127.0.0.1:" in line:
            port = int(line.split("http://127.0.0.1:")[1].split("/")[0])
    return process, port, time.monotonic() - began


def lookups(port, count):
    """Milliseconds for each of LOOKUPS different requests, none asked before."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    times = []
    for turn in range(LOOKUPS):
        number = turn * 7919 % count
        body = json.dumps(request(number))
        began = time.perf_counter()
        connection.request("POST", "/p/v1/chat/completions", body, {"content-type": "application/json"})
        response = connection.getresponse()
        got = response.read()
        times.append((time.perf_counter() - began) * 1000)
        if response.status != 200 or json.loads(got) != answer(number, ANSWER_BYTES):
            sys.exit(f"question {number}: {response.status} {got[:200]}")
    return statistics.median(times[: min(FEW, count)])


def stop(process):
    process.terminate()
    process.wait()


def main():
    runner, count = sys.argv[1], int(sys.argv[2])
    home = tempfile.mkdtemp(prefix="store-bench-")
    few, many = f"{home}/few", f"{home}/many"
    write(few, FEW)
    size = write(many, count)
    process, _, cold = start(runner, many)
    peak_cold = memory(process, "VmHWM")
    stop(process)
    warm = []
    for _ in range(5):
        process, port, seconds = start(runner, many)
        warm.append(seconds)
        if len(warm) < 5:
            stop(process)
    with_many = lookups(port, count)
    held, peak = memory(process, "VmRSS"), memory(process, "VmHWM")
    stop(process)
    process, port, _ = start(runner, few)
    with_few = lookups(port, FEW)
    stop(process)
    shutil.rmtree(home)
    warm = statistics.median(warm)
    print(f"{count} recordings, {size / 1e6:.0f} MB")
    print(f"ready without an index  {cold:6.2f} s   (3 s)      peak memory {peak_cold:.0f} MB")
    print(f"ready with an index     {warm:6.2f} s   (0.3 s)")
    print(f"first look-up, median   {with_many:6.2f} ms  with {FEW} recordings {with_few:.2f} ms")
    print(f"memory after {LOOKUPS} look-ups {held:.0f} MB, peak {peak:.0f} MB (100 MB)")
    # Flat: a look-up among all costs no more than half a millisecond more than one among few.
    fine = cold < 3 and warm < 0.3 and max(peak, peak_cold) < 100 and with_many < with_few + 0.5
    sys.exit(0 if fine else 1)


if __name__ == "__main__":
    main()
