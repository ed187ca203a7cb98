"""How fast the music room is, beside the libraries that it stands on.

    python -m benchmarks.music [--rounds 5] [--json]

* ``musicgen_overhead_ratio``: seconds for a passage of MusicGen as the room makes it, with its
  tokens after every frame and their sound at the end, over one call of the library's own
  ``generate`` with the same settings. The library is audiocraft where it is installed, else
  transformers. They take turns in one process; medians. The weights are random: what they say
  makes no difference to the speed.

``benchmarks/music_tunes.py`` says what is measured of the bundled model.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.music_tunes import measure_tunes
from demos.music.musicgen import MusicGenJob, MusicGenRequest, generate_musicgen
from shared.catalog import Catalog, GalleryLoader
from shared.musicgen import with_audiocraft
from shared.musicgen.engine import render
from shared.settings import Settings
from tests.musicgen_models import make_audiocraft_checkpoint, make_transformers_checkpoint

WORDS, SECONDS, TOP_K = "a calm piano", 2, 16  # audiocraft wants no more than a codebook has
# A tenth of the smallest real one: small enough to be made here, large enough to compute.
LAYERS, WIDTH, HEADS = 8, 512, 8


def alternate(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Let ``works`` take turns after a round of warming up; medians of seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            if number:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def measure_musicgen(rounds: int) -> dict[str, float]:
    """Compare the room with the library that it runs MusicGen with."""
    with tempfile.TemporaryDirectory() as folder:
        engine = load_engine(Path(folder))
        request = MusicGenRequest.parse(description=WORDS, duration=SECONDS, seed=1, top_k=TOP_K)

        def room() -> None:
            *_, last = generate_musicgen(engine, MusicGenJob(request), Event())
            render(engine, last.codes)

        own = call_audiocraft if with_audiocraft.is_available() else call_transformers
        medians = alternate({"own": lambda: own(engine, request), "room": room}, rounds)
    return {
        "musicgen_overhead_ratio": medians["room"] / medians["own"],
        "musicgen_realtime_factor": SECONDS / medians["room"],
    }


def load_engine(folder: Path) -> Any:
    """Make a checkpoint for the library that is here, and load it as the room does."""
    if with_audiocraft.is_available():
        make_audiocraft_checkpoint(
            folder, dim=WIDTH, num_heads=HEADS, num_layers=LAYERS, hidden_scale=4
        )
    else:
        make_transformers_checkpoint(
            folder,
            hidden_size=WIDTH,
            num_attention_heads=HEADS,
            num_hidden_layers=LAYERS,
            ffn_dim=4 * WIDTH,
        )
    catalog = Catalog(Settings(device="cpu", local_models=(("music/benchmark", folder),)))
    loader = GalleryLoader(catalog)
    files = loader.fetch("music/benchmark", lambda *_: None)
    return loader.load("music/benchmark", files, "cpu", lambda *_: None)


def call_transformers(engine: Any, request: MusicGenRequest) -> None:
    """Call transformers with the settings of ``request``."""
    words = engine.tokenizer(WORDS, return_tensors="pt")
    frames = round(request.duration * engine.layout.frame_rate)
    engine.model.generate(
        input_ids=words.input_ids,
        attention_mask=words.attention_mask,
        do_sample=True,
        guidance_scale=request.cfg_coef,
        temperature=request.temperature,
        top_k=request.top_k,
        max_new_tokens=frames + max(engine.layout.delays),
    )


def call_audiocraft(engine: Any, request: MusicGenRequest) -> None:
    """Call audiocraft with the settings of ``request``."""
    from audiocraft.models import MusicGen

    own = MusicGen("benchmark", engine.codec, engine.lm)
    own.set_generation_params(
        duration=request.duration,
        cfg_coef=request.cfg_coef,
        temperature=request.temperature,
        top_k=request.top_k,
    )
    own.generate([WORDS])


MEASURES: tuple[Callable[[int], dict[str, float]], ...] = (measure_tunes, measure_musicgen)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="passages of each kind")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()
    figures: dict[str, float] = {}
    for measure in MEASURES:
        figures |= measure(arguments.rounds)
    for name, figure in figures.items():
        print(f"{name:26} {figure:8.3f}")
    print(f"on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if arguments.json:
        print(json.dumps({name: round(figure, 3) for name, figure in figures.items()}))


if __name__ == "__main__":
    main()
