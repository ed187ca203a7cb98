"""Killed in the middle of bringing a model here: the next start goes on and leaves no debris."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import psutil
from gradio_client import Client

from shared.settings import ROOT
from shared.temporary_files import PREFIX
from tests.conftest import run_app
from tests.hub import COMMIT, StandInHub, make_checkpoint, run_hub

DOWNLOAD = f"""
from shared.settings import Settings
from shared.hub import Hub
source = Hub("someone/tiny", "{COMMIT}", download_bytes=1)
print(source.is_here(Settings()), flush=True)
def report(stage, done, total):
    if done > total / 4:
        print("under way", flush=True)

print(source.fetch(Settings(), report))
"""

# The conversion stops half-way for as long as there is a file that says so.
CONVERT = """
import sys
from pathlib import Path
from shared.settings import Settings
from shared.sources import Package
from tests.client.test_killed import copy_unless_told_to_wait

def report(stage, done, total):
    for half in Path(sys.argv[1]).rglob("half"):
        print(half.read_text(), flush=True)

source = Package("boxed", "words.txt", copy_unless_told_to_wait)
print(source.fetch(Settings(cache_dir=Path(sys.argv[1])), report))
"""


def copy_unless_told_to_wait(file: Path, folder: Path) -> None:
    folder.mkdir()
    if file.with_name("wait").exists():
        (folder / "writing").write_text(str(os.getpid()))
        (folder / "writing").rename(folder / "half")
        threading.Event().wait()
    (folder / "copy.txt").write_text(file.read_text())


def start(script: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        text=True,
    )


def debris(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix in (".tmp", ".incomplete")]


def download(hub: StandInHub, home: Path) -> subprocess.Popen[str]:
    return start(DOWNLOAD, HF_ENDPOINT=hub.url, HF_HOME=str(home), HF_HUB_OFFLINE="0", NO_PROXY="*")


def test_a_killed_download_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with run_hub(make_checkpoint(tmp_path / "files")) as hub:
        size = len(hub.files["model.safetensors"])
        hub.hold_after = size // 2
        with download(hub, home) as process:
            assert process.stdout
            assert [process.stdout.readline() for _ in range(2)] == ["False\n", "under way\n"]
            process.kill()
        assert debris(home)

        hub.hold_after = None
        hub.release.set()
        hub.sent.clear()
        with download(hub, home) as process:
            here, *_, folder = process.communicate(timeout=60)[0].splitlines()
        assert here == "False", "half a download counted as a model"
        arrived = Path(folder, "model.safetensors").read_bytes()
        assert arrived == hub.files["model.safetensors"]
        assert hub.sent["model.safetensors"] < 0.9 * size
        assert not debris(home)


def test_a_killed_conversion_begins_again(tmp_path: Path) -> None:
    site = make_package(tmp_path / "site")
    cache = tmp_path / "cache"
    (site / "boxed" / "wait").touch()
    with start(CONVERT, str(cache), PYTHONPATH=str(site)) as process:
        assert process.stdout
        worker = psutil.Process(int(process.stdout.readline()))
        process.kill()
    worker.wait(10)  # it must not go on writing behind the back of the next process
    assert debris(cache)

    (site / "boxed" / "wait").unlink()
    with start(CONVERT, str(cache), PYTHONPATH=str(site)) as process:
        *_, folder = process.communicate(timeout=60)[0].splitlines()
    assert Path(folder, "copy.txt").read_text() == "weights"
    assert not debris(cache)


def test_the_next_start_removes_what_a_killed_gallery_made(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()

    def sounds() -> set[Path]:
        return {path for path in files.rglob("*") if path.suffix in (".flac", ".wav", ".mid")}

    with run_app(tmp_path / "log.txt", GRADIO_TEMP_DIR=str(files)) as url:
        client = Client(url, verbose=False, download_files=str(tmp_path / "downloads"))
        sound, *_ = client.predict("a jig", bars=2, api_name="/generate_music")
        assert Path(sound).stat().st_size > 10_000, "it is served by its address"
        client.close()
        left = sounds()
        assert {path.suffix for path in left} == {".flac", ".wav", ".mid"}
        find_server(url).kill()
    assert sounds() == left

    with run_app(tmp_path / "log.txt", GRADIO_TEMP_DIR=str(files)) as url:
        assert not sounds() & left
        server = find_server(url)
    server.wait(30)
    assert not list(files.glob(f"{PREFIX}*")), "a gallery that ends in good order leaves nothing"


def find_server(url: str) -> psutil.Process:
    port = int(url.rpartition(":")[2])
    (found,) = (
        process
        for process in psutil.Process().children()
        for one in process.net_connections()
        if one.laddr.port == port and one.status == psutil.CONN_LISTEN
    )
    return found


def make_package(site: Path) -> Path:
    (site / "boxed").mkdir(parents=True)
    (site / "boxed" / "__init__.py").touch()
    (site / "boxed" / "words.txt").write_text("weights")
    (site / "boxed-1.2.dist-info").mkdir()
    (site / "boxed-1.2.dist-info" / "METADATA").write_text("Name: boxed\nVersion: 1.2\n")
    return site
