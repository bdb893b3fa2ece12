"""A headless Chromium, driven by its DevTools protocol over two pipes."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
TIMEOUT = 60.0


def find_browser() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def _pipe() -> tuple[int, int]:
    """Return the ends of a pipe, with numbers that are in nobody's way."""
    ends = os.pipe()
    moved = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends]
    for end in ends:
        os.close(end)
    return moved[0], moved[1]


class Browser:
    """A browser without a window; use it in ``with``.

    Attributes:
        events: What the browser has told of itself, ``{'method': ..., 'params': ...}`` each.
    """

    def __init__(self, program: str) -> None:
        self.events: list[dict[str, Any]] = []
        self._number = 0
        self._rest = b""
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        theirs_in, self._out = _pipe()
        self._in, theirs_out = _pipe()
        # It reads from descriptor 3 and writes to 4, whatever numbers the pipes have here.
        self._process = subprocess.Popen(
            [
                *("bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", program),
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--remote-debugging-pipe", f"--user-data-dir={self._folder.name}"),
                *("--no-first-run", "--disable-background-networking", "--hide-scrollbars"),
            ],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._in)
        os.close(self._out)
        self._folder.cleanup()

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + TIMEOUT
        while True:
            answer = self._receive(deadline)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise AssertionError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    def _receive(self, deadline: float) -> dict[str, Any]:
        """Return the next message; events are kept too."""
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise AssertionError("the browser does not answer")
            part = os.read(self._in, 1 << 20)
            if not part:
                raise AssertionError("the browser has ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, path: Path, width: int, height: int = 900, metrics: bool = False) -> Tab:
        """Open a file in a tab of a size in pixels; ``metrics`` counts the CPU time of its work."""
        return Tab(self, path, width, height, metrics)


class Tab:
    """A file, opened in a browser.

    Attributes:
        seconds: How long it took until everything was there.
    """

    def __init__(
        self, browser: Browser, path: Path, width: int, height: int, metrics: bool
    ) -> None:
        self._browser = browser
        target = browser.send("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")
        if metrics:
            self.send("Performance.enable", timeDomain="threadTicks")
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        # Or the page would go on scrolling after what a test clicks at was measured.
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.send("Emulation.setEmulatedMedia", features=[still])
        started = time.monotonic()
        self.send("Page.navigate", url=path.as_uri())
        self.until("performance.timing.loadEventEnd > 0 && location.protocol === 'file:'")
        self.seconds = time.monotonic() - started

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of this tab."""
        return self._browser.send(method, self._session, **params)

    def run(self, script: str) -> Any:
        """Return the value of an expression."""
        answer = self.send(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise AssertionError(f"{script}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def until(self, script: str, seconds: float = 20.0) -> Any:
        """Return the value of an expression as soon as it is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.run(script)):
            if time.monotonic() > deadline:
                raise AssertionError(f"never true: {script}")
            time.sleep(0.05)
        return value

    def reload(self, seconds: float = 20.0) -> None:
        """Load the page again, and wait until it is whole; no script of the page is needed."""
        loaded = len(self._events("Page.loadEventFired"))
        self.send("Page.reload")
        deadline = time.monotonic() + seconds
        while len(self._events("Page.loadEventFired")) == loaded:
            if time.monotonic() > deadline:
                raise AssertionError("the page was not loaded again")
            time.sleep(0.05)
            self.send("Page.getNavigationHistory")  # events are read with an answer

    def centre(self, selector: str) -> tuple[float, float]:
        """Scroll an element into view and return its centre in the window."""
        place = self.run(
            f"(() => {{ const one = document.querySelector({json.dumps(selector)});"
            "one.scrollIntoView({block: 'center', inline: 'center', behavior: 'instant'});"
            "const at = one.getBoundingClientRect();"
            "return [at.x + at.width / 2, at.y + at.height / 2]; })()"
        )
        return place[0], place[1]

    def mouse(self, kind: str, x: float, y: float) -> None:
        """Move, press or release the mouse: ``'Moved'``, ``'Pressed'``, ``'Released'``."""
        pressed = {"button": "left", "buttons": 1, "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=f"mouse{kind}", x=x, y=y, **pressed)

    def click(self, selector: str) -> None:
        """Click on an element."""
        x, y = self.centre(selector)
        self.mouse("Pressed", x, y)
        self.mouse("Released", x, y)

    def drag(self, selector: str, pixels: float) -> None:
        """Press on an element's centre, move to the side, and release."""
        x, y = self.centre(selector)
        self.mouse("Pressed", x, y)
        for part in range(1, 6):
            self.mouse("Moved", x + pixels * part / 5, y)
        self.mouse("Released", x + pixels, y)

    def key(self, name: str, while_down: Callable[[], object] = lambda: None) -> None:
        """Press a key that has a name, and release it."""
        codes = {"ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "End": 35, "Home": 36, "Tab": 9}
        text = {"text": "\r"} if name == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=name,
                code=name,
                windowsVirtualKeyCode=codes[name],
                **(text if kind == "keyDown" else {}),
            )
            if kind == "keyDown":
                while_down()

    def requests(self) -> list[str]:
        """Return the addresses that were asked for."""
        asked = self._events("Network.requestWillBeSent")
        return [event["request"]["url"] for event in asked]

    def complaints(self) -> list[str]:
        """Return errors and warnings on the console, and exceptions that nobody caught."""
        return [
            *(str(event["exceptionDetails"]) for event in self._events("Runtime.exceptionThrown")),
            *(
                str(event["args"])
                for event in self._events("Runtime.consoleAPICalled")
                if event["type"] in ("error", "warning", "assert")
            ),
            *(
                event["entry"]["text"]
                for event in self._events("Log.entryAdded")
                if event["entry"]["level"] in ("error", "warning")
            ),
        ]

    def screenshot(self, path: Path, whole: bool = False) -> Path:
        """Write what the window shows, or the whole page, as PNG."""
        answer = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(answer["data"]))
        return path

    def _events(self, method: str) -> list[dict[str, Any]]:
        return [
            event["params"]
            for event in self._browser.events
            if event["method"] == method and event.get("sessionId") == self._session
        ]
