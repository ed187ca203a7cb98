"""Nothing that was made for a visit outlives it, however the process ends."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.settings import ROOT
from shared.temporary_files import (
    MAX_AGE,
    PREFIX,
    ProcessFolder,
    new_file,
    remove_abandoned,
    sweep,
)

HOLD = """
import sys
from pathlib import Path
from shared.temporary_files import ProcessFolder, new_file
folder = ProcessFolder(Path(sys.argv[1]))
new_file(folder.served, "chunk.flac").write_bytes(b"sound")
print(folder.path, flush=True)
sys.stdin.read()
"""


def write(served: Path, name: str, *, age: float = 0.0) -> Path:
    path = new_file(served, name)
    path.write_bytes(b"sound")
    for one in (path, path.parent):
        os.utime(one, (time.time() - age,) * 2)
    return path


def test_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    first, second = (new_file(tmp_path, "chunk.flac") for _ in range(2))
    assert first != second
    assert first.name == second.name == "chunk.flac"


def test_a_sweep_leaves_no_file_and_no_empty_folder(tmp_path: Path) -> None:
    write(tmp_path, "chunk.flac")
    new_file(tmp_path, "never-written.wav")
    (tmp_path / "hash-of-an-upload").mkdir()
    sweep(tmp_path)
    assert len(list(tmp_path.glob("made/*"))) == 2, "they are new"
    sweep(tmp_path, now=time.time() + MAX_AGE + 60)
    assert list(tmp_path.rglob("*")) == [tmp_path / "made"]


def test_a_tune_that_is_being_played_stays(tmp_path: Path) -> None:
    old, recent = (
        write(tmp_path, "old.flac", age=MAX_AGE + 60),
        write(tmp_path, "new.flac", age=60),
    )
    sweep(tmp_path)
    assert not old.parent.exists()
    assert recent.is_file()


def test_a_folder_that_is_still_written_to_stays(tmp_path: Path) -> None:
    path = write(tmp_path, "film.gif", age=MAX_AGE + 60)
    path.with_suffix(".mp4").write_bytes(b"film")
    os.utime(path.parent, (0, 0))
    sweep(tmp_path)
    assert path.is_file()


def test_gradios_own_files_are_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "example.mp3").write_bytes(b"kept for the page")
    sweep(tmp_path, now=time.time() + 10 * MAX_AGE)
    assert (tmp_path / "hash" / "example.mp3").is_file()


def test_the_folder_goes_with_its_process(tmp_path: Path) -> None:
    folder = ProcessFolder(tmp_path)
    write(folder.served, "chunk.flac")
    (folder.path / "model.bin").write_bytes(b"weights")
    folder.close()
    folder.close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such access rights.")
def test_others_on_the_machine_cannot_look_into_it(tmp_path: Path) -> None:
    folder = ProcessFolder(tmp_path)
    assert folder.path.stat().st_mode & 0o077 == 0
    folder.close()


def test_a_start_removes_what_a_killed_process_left_and_only_that(tmp_path: Path) -> None:
    mine = ProcessFolder(tmp_path)
    kept = write(mine.served, "chunk.flac")
    (tmp_path / f"{PREFIX}being-made").mkdir()  # by another process: it is not locked yet
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        theirs = Path(process.stdout.readline().strip())
        remove_abandoned(tmp_path)
        assert list(theirs.rglob("chunk.flac")), "its process is alive"
        process.kill()
    assert theirs.is_dir(), "nobody could tidy up"
    remove_abandoned(tmp_path)
    assert not theirs.exists()
    assert kept.is_file()
    assert (tmp_path / f"{PREFIX}being-made").is_dir()
    mine.close()
