from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from shared import processes
from shared.errors import GalleryError
from shared.tunes.soundfont import read_soundfont


def test_work_is_done_in_another_process() -> None:
    assert processes.wait(processes.submit(os.getpid)) != os.getpid()


def test_all_threads_share_the_same_two() -> None:
    def visit(_: int) -> int:
        return processes.wait(processes.submit(os.getpid))

    with ThreadPoolExecutor(8) as visitors:
        assert len(set(visitors.map(visit, range(40)))) <= 2


def test_what_a_visitor_should_know_comes_back_as_it_was(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sf2"
    with pytest.raises(GalleryError, match=r"The SoundFont damaged.sf2 cannot be read"):
        processes.wait(processes.submit(read_soundfont, damaged))


def test_who_meets_a_process_that_was_killed_is_told_and_the_next_is_served() -> None:
    with pytest.raises(GalleryError, match=r"helper process was ended .* Try again"):
        processes.wait(processes.submit(os._exit, 9))
    assert processes.wait(processes.submit(abs, -3)) == 3


def test_none_is_left_behind_however_the_gallery_ends() -> None:
    code = (
        "import os; from shared import processes; processes.wait(processes.submit(abs, 1)); "
        "print('ready', flush=True); os.read(0, 1)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as gallery:
        assert gallery.stdout
        assert gallery.stdout.readline() == b"ready\n"
        family = psutil.Process(gallery.pid).children(recursive=True)
        assert len(family) >= 2
        gallery.kill()
    _, left = psutil.wait_procs(family, timeout=30)
    assert left == []
