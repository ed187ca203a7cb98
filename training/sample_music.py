"""Write the tune model's samples: sound, and the recipe to make each again.

    python -m training.sample_music

writes ``*.ogg`` and ``recipes.json`` into ``models/music-tunes/samples``. They sound as on the
page: the chords for a melody come from a rule, see ``shared/tunes/chords.py``.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import soundfile
import torch

from shared.catalog import Placement, load_tune_model
from shared.settings import ROOT
from shared.tunes.arrangement import arrange, to_score
from shared.tunes.compose import TuneModel, write_tune
from shared.tunes.controls import TuneControls
from shared.tunes.measures import ids_to_measure
from shared.tunes.sound import render
from training.evaluate_music import SAMPLING

SAMPLE_RATE = 44_100
LARGEST = 300_000  # bytes
SILENT = 1e-4


@dataclass(frozen=True)
class Recipe:
    """How to make a sample; ``bars`` is the maximum length."""

    name: str
    controls: TuneControls
    seed: int
    bars: int


RECIPES = (
    Recipe(
        "jig",
        TuneControls(
            style="Jig", mode="Major", meter="6/8", tonic=2, tempo=168,
            instrument="fiddle", accompaniment="guitar",
        ),
        seed=1,
        bars=32,
    ),
    Recipe(
        "reel-in-dorian",
        TuneControls(
            style="Reel", mode="Dorian", meter="4/4", tonic=4, tempo=190,
            instrument="flute", accompaniment="guitar",
        ),
        seed=1,
        bars=24,
    ),
    Recipe(
        "slow-air",
        TuneControls(
            style="Air", mode="Minor", meter="3/4", tonic=9, tempo=100,
            instrument="oboe", accompaniment="harp",
        ),
        seed=1,
        bars=16,
    ),
    Recipe(
        "chorale",
        TuneControls(
            style="Chorale", mode="Major", meter="4/4", tonic=7, tempo=76, instrument="organ"
        ),
        seed=1,
        bars=8,
    ),
    Recipe(
        "song",
        TuneControls(
            style="Lied", mode="Major", meter="3/4", tonic=5, tempo=92,
            instrument="clarinet", accompaniment="piano",
        ),
        seed=1,
        bars=12,
    ),
)  # fmt: skip


def write_sample(tune_model: TuneModel, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Write one sample into ``folder`` and return its metadata.

    Raises:
        ValueError: The file is larger than ``LARGEST``.
    """
    rng = torch.Generator("cpu").manual_seed(recipe.seed)
    tune = write_tune(tune_model, recipe.controls, SAMPLING, rng, Event())
    bars = [[token.id for token in bar] for bar in islice(tune, recipe.bars)]
    style = recipe.controls.style
    measures = [ids_to_measure(tune_model.tokenizer, ids, style) for ids in bars]
    score = to_score(arrange(measures, recipe.controls))
    sound = trim(render(score, SAMPLE_RATE).mean(axis=1))
    path = folder / f"{recipe.name}.ogg"
    soundfile.write(path, sound, SAMPLE_RATE, format="OGG", subtype="VORBIS")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path.name} takes {path.stat().st_size} bytes; ask for fewer bars")
    asked = recipe.controls
    return {
        "file": path.name,
        "style": asked.style,
        "mode": asked.mode,
        "meter": asked.meter,
        "tonic": asked.tonic,
        "tempo": asked.tempo,
        "instrument": asked.instrument,
        "accompaniment": asked.accompaniment,
        "seed": recipe.seed,
        "temperature": SAMPLING.temperature,
        "top_p": SAMPLING.top_p,
        "bars": len(bars),
        "seconds": round(len(sound) / SAMPLE_RATE, 1),
    }


def trim(sound: np.ndarray) -> np.ndarray:
    """Remove the silence before and after ``sound``, (N,)."""
    heard = np.flatnonzero(np.abs(sound) > SILENT)
    return sound[heard[0] : heard[-1] + 1] if len(heard) else sound


def main() -> None:
    """Write all samples."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "music-tunes")
    folder = parser.parse_args().model
    tune_model = load_tune_model(folder, Placement(torch.device("cpu"), torch.float32))
    samples = folder / "samples"
    samples.mkdir(exist_ok=True)
    recipes = [write_sample(tune_model, recipe, samples) for recipe in RECIPES]
    (samples / "recipes.json").write_text(json.dumps(recipes, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
