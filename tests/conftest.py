"""The real app, launched once for all tests that talk to it, and the real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.settings import ROOT

START_SECONDS = 120
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def start_app(log: Path, **environment: str) -> tuple[subprocess.Popen[bytes], str]:
    """Run ``python app.py`` on a free port and return the process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-u", "app.py"],
        cwd=ROOT,
        env={**os.environ, "GALLERY_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", **environment},
        stdout=subprocess.PIPE,
        stderr=log.open("wb"),
    )
    assert process.stdout
    for line in process.stdout:  # ends when the process does
        if b"http://" in line:
            return process, line.split()[-1].decode().rstrip("/")
    raise RuntimeError(f"The app did not start:\n{log.read_text()}")


@pytest.fixture(scope="session")
def app_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app writes to standard error."""
    return tmp_path_factory.mktemp("app") / "stderr.txt"


@pytest.fixture(scope="session")
def app_url(app_log: Path) -> Iterator[str]:
    """Address of the running app."""
    process, url = start_app(app_log)
    with urllib.request.urlopen(url, timeout=START_SECONDS) as answer:
        assert answer.status == 200
    yield url
    process.terminate()
    process.wait(20)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium; without one, browser tests skip, or fail in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path:
        return path
    if os.environ.get("GALLERY_REQUIRE_BROWSER"):
        pytest.fail("No Chromium found, and this run must test in a browser.")
    pytest.skip("No Chromium found: install it to run the browser tests.")
