"""The soak compares what can be seen and heard, not when it was made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from symusic import Note, Score, Track

from benchmarks.cache_soak import read_content
from shared.recipe_files import add_to_score, save_png
from shared.sounds import Sound, save_wav


def save(path: Path, number: int, made: str) -> bytes:
    """Write the ``number``-th output as made at some time, and return what is compared."""
    recipe = {"seed": 1, "made": made}
    match path.suffix:
        case ".png":
            save_png(Image.new("RGB", (8, 8), (number, 0, 0)), path, recipe)
        case ".wav":
            save_wav(Sound(np.full((1, 80), number / 10, np.float32), 8000), path, recipe)
        case ".mid":
            score = Score(480)
            score.tracks.append(Track(notes=[Note(0, 480, 60 + number, 64)]))
            add_to_score(score, recipe)
            score.dump_midi(path)
    return read_content(path)


@pytest.mark.parametrize("kind", ["png", "wav", "mid"])
def test_the_same_output_at_another_time_is_the_same(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"file.{kind}"
    first = save(path, 1, "2026-12-01T10:00:00+00:00")
    assert save(path, 1, "2026-12-01T10:00:01+00:00") == first
    assert save(path, 2, "2026-12-01T10:00:00+00:00") != first
