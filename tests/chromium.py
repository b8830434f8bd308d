"""Headless Chromium over its DevTools pipe: opens a file, asks the page, notes every request and
complaint. Needs nothing but the browser."""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120
"""Seconds after which a browser that does not answer is a failure."""
_ABOVE = 10
"""File descriptors from here on are in nobody's way: the browser wants 3 and 4."""
_GIVE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find() -> str | None:
    """The browser's program, where there is one."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Chromium:
    """One browser process with one page after the other; use it as a context manager."""

    def __init__(self, program: str, home: Path) -> None:
        to_child, self._out = os.pipe()
        self._in, from_child = os.pipe()
        read, write = (fcntl.fcntl(fd, fcntl.F_DUPFD, _ABOVE) for fd in (to_child, from_child))

        self._process = subprocess.Popen(
            [
                *(sys.executable, "-c", _GIVE, str(read), str(write)),
                *(program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-extensions"),
                *("--no-first-run", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
                *(f"--user-data-dir={home / 'profile'}", "about:blank"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(home)},
            pass_fds=(read, write),
        )
        for descriptor in (to_child, from_child, read, write):
            os.close(descriptor)
        self._buffer = b""
        self._number = 0
        self._session: str | None = None
        self._target: str | None = None
        self.requests: list[str] = []
        """Addresses that the page asked for since it was opened, the page's own among them."""
        self.complaints: list[str] = []
        """What the browser's console said: errors, violations of the page's policy."""

    def __enter__(self) -> Chromium:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._out)
        os.close(self._in)

    def open(self, path: Path, width: int = 1200, before: str = "") -> None:
        """Open a file in a new page and wait until it is loaded.

        Args:
            before: JavaScript to run before anything of the page's own.
        """
        self._session = None
        if self._target is not None:
            self._call("Target.closeTarget", targetId=self._target)
        target = self._target = self._call("Target.createTarget", url="about:blank")["targetId"]
        attached = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        self.requests, self.complaints = [], []
        for domain in ("Page", "Network", "Log", "Runtime"):
            self._call(f"{domain}.enable")
        self._call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        if before:
            self._call("Page.addScriptToEvaluateOnNewDocument", source=before)
        self._call("Page.navigate", url=path.as_uri())
        self.wait("document.readyState === 'complete' && location.protocol === 'file:'")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; a promise is waited for."""
        answer = self._call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str) -> None:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            assert time.monotonic() < end, f"never became true: {expression}"
            time.sleep(0.02)

    def call(self, method: str, **parameters: Any) -> Any:
        """One DevTools command to the page."""
        return self._call(method, **parameters)

    def _call(self, method: str, **parameters: Any) -> Any:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            self._note(answer)

    def _note(self, event: dict[str, Any]) -> None:
        method, said = event.get("method"), event.get("params", {})
        if method == "Network.requestWillBeSent":
            self.requests.append(said["request"]["url"])
        elif method == "Log.entryAdded":
            self.complaints.append(said["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(said["exceptionDetails"]["text"])
        elif method == "Runtime.consoleAPICalled":
            self.complaints.append(json.dumps(said["args"]))

    def _read(self) -> Any:
        while b"\0" not in self._buffer:
            assert select.select([self._in], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self._in, 1 << 16)
            assert part, "the browser has gone"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)
