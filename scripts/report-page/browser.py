"""Headless Chromium, driven over its debugging pipe: file descriptors 3 and 4, one JSON message after the other."""

import base64
import json
import os
import pathlib
import select
import shutil
import struct
import subprocess
import tempfile
import typing
import zlib

# Long for a slow machine; a page that hangs must not hang a build.
PATIENCE = 60


class Failed(Exception):
    """What was expected of the page does not hold."""


class Browser:
    def __init__(self, chromium: str, width: int = 1280, height: int = 960) -> None:
        self.folder = tempfile.mkdtemp(prefix="report-page-")
        self.size = (width, height)
        to_child, self.outbox = os.pipe()
        self.inbox, from_child = os.pipe()
        command = [
            chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
            "--disable-dev-shm-usage",
            "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
            f"--user-data-dir={self.folder}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        wired = ["bash", "-c", f'exec "$@" 3<&{to_child} 4>&{from_child}', "chromium", *command]
        self.process = subprocess.Popen(wired, pass_fds=(to_child, from_child), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.number = 0
        self.session: str | None = None
        self.buffer = b""
        self.events: list[dict] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.session = None
            self.call("Browser.close")
            self.process.wait(PATIENCE)
        except (Failed, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        # What a helper process of Chromium's still writes there does not matter.
        shutil.rmtree(self.folder, ignore_errors=True)

    def message(self) -> dict:
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.inbox], [], [], PATIENCE)
            more = os.read(self.inbox, 1 << 20) if ready else b""
            if not more:
                raise Failed("Chromium does not answer" if not ready else "Chromium ended")
            self.buffer += more
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method: str, **params: object) -> dict:
        self.number += 1
        request: dict = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.outbox, json.dumps(request).encode() + b"\0")
        while True:
            message = self.message()
            if message.get("id") == self.number:
                if "error" in message:
                    raise Failed(f"{method}: {message['error']['message']}")
                return message["result"]
            self.events.append(message)

    def open(self, path: pathlib.Path, fragment: str = "") -> None:
        # From a page to the same page with another fragment nothing would be loaded.
        for url in ("about:blank", f"{path.resolve().as_uri()}{fragment}"):
            self.events.clear()
            self.call("Page.navigate", url=url)
            while not any(event["method"] == "Page.loadEventFired" for event in self.events):
                self.events.append(self.message())

    def js(self, expression: str) -> typing.Any:
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise Failed(f"{expression}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def frame(self) -> None:
        """Waits until what was changed is drawn."""
        self.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def press(self, key: str, code: int, text: str = "") -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **({"text": text} if kind == "keyDown" and text else {}))

    def type(self, text: str) -> None:
        self.call("Input.insertText", text=text)

    def click(self, selector: str) -> None:
        place = self.js(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({block: 'nearest'}); const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        if place is None:
            raise Failed(f"there is no {selector}")
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], button="left", clickCount=1)

    def scheme(self, name: str) -> None:
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])
        self.frame()

    def shot(self, path: pathlib.Path) -> bytes:
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return data

    def complaints(self) -> list[str]:
        """Errors in the console, and what was loaded besides the page."""
        found = []
        for event in self.events:
            params = event.get("params", {})
            if event["method"] == "Runtime.exceptionThrown":
                found.append(params["exceptionDetails"].get("exception", {}).get("description", "an exception"))
            elif event["method"] == "Log.entryAdded" and params["entry"]["level"] == "error":
                found.append(params["entry"]["text"])
            elif event["method"] == "Network.requestWillBeSent" and params["type"] != "Document":
                found.append(f"requested {params['request']['url']}")
        return found


def colours(png: bytes) -> dict[tuple[int, int, int], int]:
    """How many pixels a picture has of each colour; 8 bits a channel, not interlaced, as Chromium writes them."""
    position, header, packed = 8, b"", b""
    while position < len(png):
        (length,) = struct.unpack(">I", png[position : position + 4])
        kind, chunk = png[position + 4 : position + 8], png[position + 8 : position + 8 + length]
        header, packed = (chunk if kind == b"IHDR" else header), packed + (chunk if kind == b"IDAT" else b"")
        position += 12 + length
    width, height, _, colour = struct.unpack(">IIBB", header[:10])
    step = 4 if colour == 6 else 3
    raw, above, found = zlib.decompress(packed), bytearray(width * step), {}
    for line in range(height):
        start = line * (width * step + 1)
        row = bytearray(raw[start + 1 : start + 1 + width * step])
        for at in range(len(row)):
            left = row[at - step] if at >= step else 0
            up, corner = above[at], above[at - step] if at >= step else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda near: abs(guess - near))
            row[at] = (row[at] + (0, left, up, (left + up) // 2, paeth)[raw[start]]) & 255
        for at in range(0, len(row), step):
            pixel = (row[at], row[at + 1], row[at + 2])
            found[pixel] = found.get(pixel, 0) + 1
        above = row
    return found
