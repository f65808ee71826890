# SPDX-License-Identifier: LGPL-2.1-or-later
"""A headless Chromium that notices what a page should not do."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")

_OPTIONS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--window-size=1400,1200",
)  # fmt: skip


class Browser:
    """A browser for one test after the other."""

    def __init__(self) -> None:
        self._profile = tempfile.TemporaryDirectory()
        options = webdriver.ChromeOptions()
        assert CHROMIUM is not None
        options.binary_location = CHROMIUM
        for option in (*_OPTIONS, f"--user-data-dir={self._profile.name}"):
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(DRIVER))

    def open(self, path: Path) -> None:
        """Show a page until its charts are drawn; it must not complain or ask for anything."""
        self.driver.get("about:blank")
        self.complaints(), self.requests()
        self.driver.get(path.as_uri())
        self.until("return [...document.querySelectorAll('.chart')].every(t => t._fullLayout)")
        assert self.complaints() == []
        assert self.requests() == {path.as_uri()}

    def run(self, script: str, *args: object) -> Any:
        return self.driver.execute_script(script, *args)

    def until(self, script: str, seconds: float = 60) -> None:
        """Wait until *script* returns something true."""
        end = time.monotonic() + seconds
        while not self.run(script):
            assert time.monotonic() < end, f"in vain: {script}"
            time.sleep(0.05)

    def complaints(self) -> list[str]:
        """What came to the console since it was last asked for."""
        return self._log("browser")

    def requests(self) -> set[str]:
        """Addresses that were asked for since then."""
        messages = (json.loads(entry)["message"] for entry in self._log("performance"))
        return {
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
        }

    def _log(self, kind: str) -> list[str]:
        """Messages since it was last read."""
        # Selenium annotates its package, but not this.
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return [entry["message"] for entry in entries]

    def quit(self) -> None:
        self.driver.quit()
        self._profile.cleanup()
