from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared import processes
from shared.errors import GalleryError
from shared.tunes.soundfont import read_soundfont


def test_work_is_done_in_another_process() -> None:
    assert processes.wait(processes.submit(os.getpid)) != os.getpid()


def test_what_a_visitor_should_know_comes_back_as_it_was(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.sf2"
    with pytest.raises(GalleryError, match=r"The SoundFont damaged.sf2 cannot be read"):
        processes.wait(processes.submit(read_soundfont, damaged))


def test_who_meets_a_process_that_was_killed_is_told_and_the_next_is_served() -> None:
    with pytest.raises(GalleryError, match=r"helper process was ended .* Try again"):
        processes.wait(processes.submit(os._exit, 9))
    assert processes.wait(processes.submit(abs, -3)) == 3
