"""The speed of the bundled music model in the music room.

Part of ``python -m benchmarks.music``:

* ``realtime_factor``: seconds of music over seconds to compose, arrange, render and normalise it;
  median over ``DESCRIPTIONS``.
* ``first_sound_s``: seconds from the request to the first playable chunk of sound, with the model
  loaded; the maximum.
* ``speedup_vs_generate``: tokens per second of the room, with grammar and probabilities, over those
  of ``model.generate()`` with the same weights, temperature and top-p. Alternating in one process;
  median of the ratios.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from threading import Event
from typing import Any

from demos.music.generate import MusicRequest, generate_music
from demos.music.recording import PieceAudio
from shared.catalog import Catalog, GalleryLoader
from shared.model_cache import ModelCache
from shared.room import throttle
from shared.settings import Settings
from shared.tunes.loudness import normalize
from shared.tunes.sound import SAMPLE_RATE
from shared.tunes.tokens import prompt_ids

MODEL = "music/tunes"
DESCRIPTIONS = (
    "a lively jig in D major for fiddle and guitar",
    "a fast reel in E dorian for accordion and guitar",
    "a slow air in F major for flute and harp",
    "a march in G major for piccolo and brass",
    "a Bach chorale in G minor on the organ",
)
TOKENS = 200


def measure_tunes(rounds: int) -> dict[str, float]:
    """Compose, render, and compare with ``generate()``."""
    settings = Settings(device="cpu")
    cache = ModelCache(settings.cache_bytes, GalleryLoader(Catalog(settings)))
    factors, first_sounds, ratios, rates = [], [], [], []
    with cache.lease(MODEL, "the benchmark") as model:
        for number in range(rounds + 1):
            for description in DESCRIPTIONS:
                request = MusicRequest.parse(description=description, duration=20, seed=number)
                factor, first = compose(model, request)
                room, bare = write_rate(model, request), generate_rate(model, request)
                if number:  # the first round warms up
                    factors.append(factor)
                    first_sounds.append(first)
                    ratios.append(room / bare)
                    rates.append(room)
    return {
        "realtime_factor": statistics.median(factors),
        "first_sound_s": max(first_sounds),
        "speedup_vs_generate": statistics.median(ratios),
        "note_tokens_per_s": statistics.median(rates),
    }


def compose(model: Any, request: MusicRequest) -> tuple[float, float]:
    """Compose and render as the page does; return realtime factor and time to first sound."""
    with tempfile.TemporaryDirectory() as folder:

        def new_file(name: str) -> Path:
            return Path(tempfile.mkdtemp(dir=folder), name)

        audio = PieceAudio(new_file)
        began = time.perf_counter()
        first = 0.0
        for step in throttle(generate_music(model, request, Event()), 0.08):
            if audio.advance(step) and not first:
                first = time.perf_counter() - began
        normalize(audio.play(step), SAMPLE_RATE)
        return step.arrangement.seconds / (time.perf_counter() - began), first


def write_rate(model: Any, request: MusicRequest) -> float:
    """Return tokens per second of the room, without the last bar, which is tried several times."""
    request = request.model_copy(update={"duration": 120.0})
    began, count = time.perf_counter(), 0
    for step in generate_music(model, request, Event()):
        count += len(step.bars[-1].tokens)
        if count >= TOKENS:
            break
    return count / (time.perf_counter() - began)


def generate_rate(model: Any, request: MusicRequest) -> float:
    """Return tokens per second of transformers."""
    import torch

    ids = torch.tensor([prompt_ids(model.tokenizer, request.controls)])
    torch.manual_seed(request.seed)
    began = time.perf_counter()
    output = model.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=True,
        temperature=request.temperature,
        top_p=request.top_p,
        top_k=0,
        max_new_tokens=TOKENS,
        eos_token_id=None,
        pad_token_id=0,
    )
    return int(output.shape[1] - ids.shape[1]) / (time.perf_counter() - began)
