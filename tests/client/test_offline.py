"""The promise that matters most in a classroom: no network at all, and every room works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared.settings import ROOT

# Runs inside a network namespace of its own, in which only loopback exists.
SCRIPT = """
import fcntl, pathlib, socket, struct, sys
with socket.socket() as probe:  # bring loopback up: SIOCSIFFLAGS with IFF_UP | IFF_RUNNING
    fcntl.ioctl(probe, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
from gradio_client import Client
from tests.conftest import run_app
try:
    socket.create_connection(("192.0.2.1", 80), timeout=1)
    sys.exit("this is not offline")
except OSError:
    pass
with run_app(pathlib.Path(sys.argv[1]), GALLERY_OFFLINE="0") as url:
    client = Client(url, verbose=False)
    text, _ = client.predict("Once upon a time", max_new_tokens=20, api_name="/generate_text")
    picture, _ = client.predict("a red critter", num_inference_steps=2, api_name="/generate_image")
    wav, midi, _ = client.predict("a jig", duration=5, api_name="/generate_music")
    vae, gan, _ = client.predict(api_name="/sample_latent")
assert text.strip()
assert all(pathlib.Path(path).stat().st_size > 100 for path in (picture, wav, midi, vae, gan))
print("all rooms worked")
"""


def find_unshare() -> list[str]:
    """A command that runs another without a network, or a skip where that is not allowed."""
    for command in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare"):
            tried = subprocess.run([*command, "true"], capture_output=True, check=False)
            if tried.returncode == 0:
                return command
    pytest.skip("No right to make a network namespace here.")


def test_every_room_works_without_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [*find_unshare(), sys.executable, "-c", SCRIPT, str(tmp_path / "log.txt")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "all rooms worked" in done.stdout, done.stderr
