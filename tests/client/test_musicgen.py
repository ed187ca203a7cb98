"""MusicGen behind a real queue: what programs get, alone, at once, and for bad values."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import soundfile
from gradio_client import Client
from gradio_client.exceptions import AppError

from shared.recipe_files import read_recipe
from tests.client.musicgen_page import KEY
from tests.conftest import run_app
from tests.musicgen_models import RATE, make_transformers_checkpoint


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = make_transformers_checkpoint(tmp_path_factory.mktemp("tiny"))
    log = tmp_path_factory.mktemp("app") / "stderr.txt"
    command = "-m", "tests.client.musicgen_page"
    with run_app(log, *command, GALLERY_LOCAL_MODELS=f"{KEY}={folder}") as url:
        yield url
    assert "Traceback" not in log.read_text()


def visit(url: str, **values: Any) -> tuple[bytes, dict[str, Any]]:
    client = Client(url, verbose=False)
    wav, midi, recipe = client.predict(**{"duration": 2, **values}, api_name="/generate_music")
    client.close()
    assert midi is None
    assert read_recipe(Path(wav)) == recipe
    samples, rate = soundfile.read(wav)
    assert (len(samples), rate) == (values.get("duration", 2) * RATE, RATE)
    return samples.tobytes(), recipe


def test_a_drawn_seed_is_reported_and_gives_the_same_music(url: str) -> None:
    music, recipe = visit(url)
    assert recipe["model"] == KEY
    assert visit(url, seed=recipe["seed"])[0] == music


def test_two_visitors_at_once_get_their_own(url: str) -> None:
    wishes: list[dict[str, Any]] = [
        {"description": "a calm piano", "temperature": 0.6, "seed": 1},
        {"description": "a loud drum", "temperature": 1.4, "seed": 2, "duration": 3},
    ]
    alone = [visit(url, **job)[0] for job in wishes]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda job: visit(url, **job)[0], wishes))
    assert together == alone
    assert alone[0] != alone[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration": 0}, "duration must be at least 1"),
        ({"duration": 3600}, "duration must be at most 120"),
        ({"temperature": 9}, "temperature must be at most 2"),
        ({"seed": "x"}, "seed must be a whole number"),
        ({"model": "music/tunes"}, "writes notes, not sound"),
        ({"model": "music/none"}, "no music model 'music/none'"),
        ({"model": "music/musicgen-stereo-small"}, "hf download facebook/musicgen-stereo-small"),
    ],
)
def test_bad_values_get_a_plain_message(url: str, values: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError, match=message):
        visit(url, **values)
    visit(url)  # and the next one works
