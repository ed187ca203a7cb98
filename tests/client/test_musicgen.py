"""MusicGen behind a real queue: what programs get, alone, at once, and for bad values."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import soundfile
from gradio_client import Client
from gradio_client.exceptions import AppError

from demos.music.musicgen import MusicGenRequest
from demos.music.room import MusicRoom
from demos.music.tabs.musicgen import answer_musicgen
from shared.catalog import Catalog
from shared.serve import create_cache, launch
from shared.settings import Settings
from shared.sounds import read_recipe
from shared.ui import add_endpoint
from tests.musicgen_models import RATE, make_transformers_checkpoint

# The page runs in this process, and Gradio asks pandas for an option that is on its way out.
pytestmark = pytest.mark.filterwarnings("ignore:'future.no_silent_downcasting'")
KEY = "music/musicgen-small"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with nothing on it but the endpoint."""
    folder = make_transformers_checkpoint(tmp_path_factory.mktemp("tiny"))
    settings = Settings(device="cpu", offline=True, local_models=((KEY, folder),))
    cache = create_cache(settings)
    room = MusicRoom(cache, settings, Catalog(settings))
    own = MusicGenRequest.numbers()
    numbers = {name: own[name] for name in ("duration", "temperature", "seed")}

    def answer(
        description: str, model: str, duration: float, temperature: float, seed: int
    ) -> tuple[str, None, dict[str, Any]]:
        """Make music."""
        return answer_musicgen(room, description, model, duration, temperature, seed)

    with gr.Blocks() as page:
        outputs = [gr.File(visible=False), gr.File(visible=False), gr.JSON(visible=False)]
        values = {"description": "a tune", "model": KEY, **numbers}
        add_endpoint("generate_music", answer, values, outputs)
    _, address, _ = launch(page, settings, prevent_thread_lock=True, quiet=True)
    yield address
    page.close()
    cache.close(5)


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
    alone = [visit(url, **wish)[0] for wish in wishes]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda wish: visit(url, **wish)[0], wishes))
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
