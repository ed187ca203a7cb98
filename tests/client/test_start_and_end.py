"""The process starts with what the operator asks for, and ends in good order whatever it does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from gradio_client import Client

from shared.settings import ROOT
from tests.conftest import run_app

SOON = 30.0  # seconds; a busy machine imports slowly


def models(client: Client) -> dict[str, dict[str, object]]:
    """What the cache holds, by key."""
    return {model["key"]: model for model in client.predict(api_name="/cache_snapshot")["models"]}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals.")
@pytest.mark.parametrize(
    ("end", "at"), [(signal.SIGTERM, "loading"), (signal.SIGINT, "in use")], ids=["TERM", "INT"]
)
def test_it_ends_without_a_traceback_while_a_model_is_busy(
    tmp_path: Path, end: signal.Signals, at: str
) -> None:
    if signal.getsignal(end) == signal.SIG_IGN:
        pytest.skip("Ctrl-C is switched off for these tests, as for any job in the background.")
    log = tmp_path / "log.txt"
    environment = {**os.environ, "GALLERY_OFFLINE": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-u", "app.py"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdout
        address = next(line for line in process.stdout if b"http://" in line).decode()
        client = Client(address.split()[-1], verbose=False)
        client.submit(num_inference_steps=50, api_name="/generate_image")
        deadline = time.monotonic() + SOON
        while models(client).get("image/critters", {}).get("state") != at:
            assert time.monotonic() < deadline
        process.send_signal(end)
        assert process.wait(10) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal.")
def test_it_ends_without_a_word_after_music_was_made(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    others = psutil.Process().children(recursive=True)
    with run_app(log) as url:
        Client(url, verbose=False).predict("a jig", bars=2, api_name="/generate_music")
        family = {*psutil.Process().children(recursive=True)}.difference(others)
    _, left = psutil.wait_procs(family, timeout=SOON)
    assert left == []
    assert "Warning" not in log.read_text()
    assert "Traceback" not in log.read_text()


def test_models_named_for_preload_are_loaded_and_kept(tmp_path: Path) -> None:
    with run_app(tmp_path / "log.txt", GALLERY_PRELOAD="latent/critters-vae") as url:
        client = Client(url, verbose=False)
        deadline = time.monotonic() + SOON
        while not models(client).get("latent/critters-vae", {}).get("pinned"):
            assert time.monotonic() < deadline
        client.close()


def test_a_misspelt_preload_is_explained_at_the_start() -> None:
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env={**os.environ, "GALLERY_PRELOAD": "text/storytellr"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "no model 'text/storytellr'" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_preload_that_fails_is_explained_and_the_others_are_loaded(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with run_app(log, GALLERY_PRELOAD="image/sd-turbo,latent/critters-gan") as url:
        client = Client(url, verbose=False)
        deadline = time.monotonic() + SOON
        while "GALLERY_PRELOAD: " not in log.read_text():
            assert time.monotonic() < deadline
        assert models(client)["latent/critters-gan"]["pinned"]
        client.close()
    assert "Traceback" not in log.read_text()
