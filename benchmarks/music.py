"""The speed of the music room, compared with its libraries.

    python -m benchmarks.music [--rounds 5] [--json]

* ``musicgen_overhead_ratio``: time for a passage of MusicGen in the room, with the tokens after
  each frame and the sound at the end, over a call of the library's own ``generate`` with the same
  settings. The library is audiocraft if it is installed, else transformers. Alternating in one
  process; medians. The weights are random, which does not affect the speed.

``benchmarks/music_tunes.py`` describes the figures of the bundled model.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from benchmarks.measure import alternate, print_figures
from benchmarks.music_tunes import measure_tunes
from demos.music.musicgen import MusicGenJob, MusicGenRequest, generate_musicgen
from shared.catalog import Catalog, GalleryLoader
from shared.musicgen import with_audiocraft
from shared.musicgen.engine import render
from shared.settings import Settings
from tests.musicgen_models import make_audiocraft_checkpoint, make_transformers_checkpoint

WORDS, SECONDS, TOP_K = "a calm piano", 2, 16  # audiocraft allows at most the size of a codebook
# A tenth of MusicGen Small: fast to create, but large enough that arithmetic dominates.
LAYERS, WIDTH, HEADS = 8, 512, 8


def measure_musicgen(rounds: int) -> dict[str, float]:
    """Compare the room with its MusicGen library."""
    with tempfile.TemporaryDirectory() as folder:
        engine = load_engine(Path(folder))
        request = MusicGenRequest.parse(description=WORDS, duration=SECONDS, seed=1, top_k=TOP_K)

        def room() -> None:
            *_, last = generate_musicgen(engine, MusicGenJob(request), Event())
            render(engine, last.codes)

        call = call_audiocraft if with_audiocraft.is_available() else call_transformers
        medians = alternate({"library": lambda: call(engine, request), "room": room}, rounds)
    return {
        "musicgen_overhead_ratio": medians["room"] / medians["library"],
        "musicgen_realtime_factor": SECONDS / medians["room"],
    }


def load_engine(folder: Path) -> Any:
    """Create a checkpoint for the installed library and load it as the room does."""
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

    model = MusicGen("benchmark", engine.codec, engine.lm)
    model.set_generation_params(
        duration=request.duration,
        cfg_coef=request.cfg_coef,
        temperature=request.temperature,
        top_k=request.top_k,
    )
    model.generate([WORDS])


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
    print_figures(figures, arguments.json)


if __name__ == "__main__":
    main()
