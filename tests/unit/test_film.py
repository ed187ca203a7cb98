"""Films are read back with the libraries that players use."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence

from demos.latent.film import FRAMES_PER_SECOND, REST_SECONDS, save_gif, save_mp4
from demos.latent.generate import Pair
from demos.latent.walk import WalkStep

RECIPE = {"seed": 7, "settings": {"note": "größer & <b>", "seeds": list(range(200))}}
REST_FRAMES = round(REST_SECONDS * FRAMES_PER_SECOND)


def make_steps(count: int = 9, leg: int = 4) -> list[WalkStep]:
    """The VAE's picture gets redder, the GAN's bluer; each has a green corner."""
    steps = []
    for number in range(count):
        pictures = []
        for channel in (0, 2):
            pixels = np.zeros((64, 64, 3), np.uint8)
            pixels[..., channel] = 20 + 25 * number
            pixels[:32, :32] = (0, 160, 0)
            pictures.append(Image.fromarray(pixels))
        seed = None if number % leg else number
        steps.append(WalkStep(number / (count - 1), seed, Pair((), *pictures)))
    return steps


def test_the_gif_loops_rests_at_seeds_and_keeps_the_recipe(tmp_path: Path) -> None:
    save_gif(make_steps(), tmp_path / "walk.gif", RECIPE)

    with Image.open(tmp_path / "walk.gif") as film:
        assert film.size == (512, 256)
        assert film.info["loop"] == 0
        assert json.loads(film.info["comment"]) == RECIPE
        durations = [frame.info["duration"] for frame in ImageSequence.Iterator(film)]
    assert durations == [400, 100, 400, 100, 400]


def test_the_gif_shows_both_pictures_with_sharp_pixels(tmp_path: Path) -> None:
    save_gif(make_steps(), tmp_path / "walk.gif", RECIPE)

    with Image.open(tmp_path / "walk.gif") as film:
        film.seek(4)
        frame = np.asarray(film.convert("RGB"))
    assert frame[10, 127].tolist() == [0, 160, 0]
    assert frame[10, 128].tolist() == [220, 0, 0]
    assert frame[200, 300].tolist() == [0, 0, 220]


def test_the_mp4_is_what_browsers_play_and_keeps_the_recipe(tmp_path: Path) -> None:
    steps = make_steps()
    save_mp4(steps, tmp_path / "walk.mp4", RECIPE)

    with av.open(str(tmp_path / "walk.mp4")) as film:
        assert json.loads(film.metadata["comment"]) == RECIPE
        assert len(film.streams) == 1
        (stream,) = film.streams.video
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (1024, 512)
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(stream)]
        times = (film.duration or 0) / av.time_base
    assert len(frames) == len(steps) + 3 * (REST_FRAMES - 1)
    assert times == pytest.approx(len(frames) / FRAMES_PER_SECOND, abs=0.01)
    last = frames[-1].astype(int)
    for place, colour in [((100, 100), (0, 160, 0)), ((400, 100), (220, 0, 0))]:
        assert np.abs(last[place] - colour).max() < 25
    # The index comes first: players need not wait for the whole file.
    data = (tmp_path / "walk.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_a_walk_that_stands_still_is_a_film_all_the_same(tmp_path: Path) -> None:
    steps = [make_steps()[0]] * 5

    save_gif(steps, tmp_path / "walk.gif", RECIPE)
    save_mp4(steps, tmp_path / "walk.mp4", RECIPE)

    with Image.open(tmp_path / "walk.gif") as film:
        assert film.size == (512, 256)
    with av.open(str(tmp_path / "walk.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) == 5 * REST_FRAMES
