"""A headless Chromium, driven by WebDriver's plain HTTP: for tests of pages."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
MISSING = None if CHROMIUM and DRIVER else "needs Chromium and its driver: apt-get install chromium chromium-driver"
_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_PATIENCE = 120.0
"""Seconds for one command; machines may be busy."""


class Browser:
    """A browser window. A context manager.

    Args:
        profile: An empty folder.
    """

    def __init__(self, profile: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._url = f"http://127.0.0.1:{free.getsockname()[1]}"
        port = self._url.rpartition(":")[2]
        self._driver = subprocess.Popen(
            [str(DRIVER), f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        options = {"binary": CHROMIUM, "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        try:
            self._wait()
            found = self._post("/session", {"capabilities": {"alwaysMatch": wanted}})
        except BaseException:
            self._stop()
            raise
        self._url += f"/session/{found['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._send("DELETE", "", None)
        finally:
            self._stop()

    def open(self, path: Path, width: int, height: int, *, dark: bool = False, touch: bool = False) -> None:
        """Show a file in a window of a size."""
        mobile = {"width": width, "height": height, "deviceScaleFactor": 2 if touch else 1, "mobile": touch}
        self._cdp("Emulation.setDeviceMetricsOverride", mobile)
        self._cdp("Emulation.setTouchEmulationEnabled", {"enabled": touch})
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self._cdp("Emulation.setEmulatedMedia", {"features": features})
        self._post("/url", {"url": path.resolve().as_uri()})

    def run(self, script: str) -> Any:
        """Return what a function body of JavaScript returns."""
        return self._post("/execute/sync", {"script": script, "args": []})

    def until(self, condition: str) -> Any:
        """Wait until a JavaScript expression is true and return it."""
        end = time.monotonic() + _PATIENCE
        while not (value := self.run(f"return {condition}")):
            if time.monotonic() > end:
                raise TimeoutError(f"it never came true: {condition}")
            time.sleep(0.1)
        return value

    def press(self, key: str, *, shift: bool = False) -> None:
        """Press a key: a letter, or WebDriver's code of another."""
        held = "\ue008"
        strokes = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        if shift:
            strokes = [{"type": "keyDown", "value": held}, *strokes, {"type": "keyUp", "value": held}]
        self._post("/actions", {"actions": [{"type": "key", "id": "keys", "actions": strokes}]})

    def drag(self, start: tuple[float, float], end: tuple[float, float], pointer: str = "touch") -> None:
        """Drag from one place of the window to another, in CSS pixels."""
        moves = [{"type": "pointerMove", "duration": 0, "x": round(start[0]), "y": round(start[1])}]
        moves += [{"type": "pointerDown", "button": 0}]
        moves += [{"type": "pointerMove", "duration": 50, "x": round(end[0]), "y": round(end[1])}]
        moves += [{"type": "pointerUp", "button": 0}]
        sequence = {"type": "pointer", "id": pointer, "parameters": {"pointerType": pointer}, "actions": moves}
        self._post("/actions", {"actions": [sequence]})

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        """Write a picture of what is seen, or of the whole page."""
        data = self._cdp("Page.captureScreenshot", {"captureBeyondViewport": whole} | (self._page() if whole else {}))
        path.write_bytes(base64.b64decode(data["data"]))

    def complaints(self) -> list[str]:
        """Return warnings and errors of the console since the last call."""
        return [entry["message"] for entry in self._post("/se/log", {"type": "browser"}) if entry["level"] != "INFO"]

    def _page(self) -> dict[str, Any]:
        size = self._cdp("Page.getLayoutMetrics", {})["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}

    def _cdp(self, command: str, params: dict[str, Any]) -> Any:
        return self._post("/goog/cdp/execute", {"cmd": command, "params": params})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, body)

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(error.read().decode()[:600]) from error

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE
        while True:
            try:
                self._send("GET", "/status", None)
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def _stop(self) -> None:
        self._driver.terminate()
        self._driver.wait(timeout=30)
