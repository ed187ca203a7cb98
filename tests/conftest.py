"""The real app, launched once for all tests that talk to it, and the real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.settings import ROOT

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def run_app(log: Path, *command: str, root: Path | str = ROOT, **environment: str) -> Iterator[str]:
    """Run ``python app.py`` on a free port and yield its address; ``log`` gets its errors.

    ``command`` runs something else instead, such as ``"app.py", "text"``, and ``root`` is
    another folder with the code.
    """
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-u", *(command or ["app.py"])],
            cwd=root,
            env={**os.environ, "GALLERY_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE", **environment},
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdout
        lines = (line for line in process.stdout if b"http://" in line)
        address = next(lines, b"").decode()  # empty if the process ended
        assert address, f"The app did not start:\n{log.read_text()}"
        try:
            yield address.split()[-1].rstrip("/")
        finally:
            process.terminate()


@pytest.fixture(scope="session")
def app_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the app writes to standard error."""
    return tmp_path_factory.mktemp("app") / "stderr.txt"


@pytest.fixture(scope="session")
def app_url(app_log: Path) -> Iterator[str]:
    """Address of the running app."""
    with run_app(app_log) as url:
        yield url


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the system's Chromium; without one, browser tests skip, or fail in CI."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
    if path:
        return path
    if os.environ.get("REQUIRE_BROWSER"):
        pytest.fail("No Chromium found, and this run must test in a browser.")
    pytest.skip("No Chromium found: install it to run the browser tests.")
