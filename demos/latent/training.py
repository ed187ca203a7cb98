"""A visitor's training: its request, its arguments and its texts. No Gradio here.

    python -m demos.latent.training

records the finished training that the tab opens with, in five minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

from shared.live.log import (
    Measure,
    ModelTexts,
    TrainingLog,
    TrainingRequest,
    read_bundled_minutes,
    record_example,
)
from shared.live.process import follow_training
from shared.settings import Settings

HELD_OUT = 500
SECONDS_BETWEEN_SAMPLES = 5.0
MOST_SAMPLES = 120  # of a run: the visitor's browser keeps them in memory

# Made by ``python -m demos.latent.training``; it comes with the page.
EXAMPLE = Path(__file__).with_name("training-example.json")

Network = Literal["vae", "gan"]


class TrainRequest(TrainingRequest):
    """A training from random weights.

    Attributes:
        network: What to train.
    """

    network: Network = "vae"


TEXTS: dict[str, ModelTexts] = {
    "vae": ModelTexts(
        "VAE",
        "VAE",
        "16 z",
        (
            Measure("mse", "Redrawing error", "Falls as pictures are redrawn better.", "", True),
            Measure("kl", "Kept in z", "Nats: how much of a picture the 64 numbers tell."),
        ),
        Measure(
            "psnr_db",
            "Likeness",
            "Of critters it never saw, redrawn. 3 dB more halve the squared error.",
            " dB",
        ),
        "redraws critters that it never saw with a likeness of {}",
    ),
    "gan": ModelTexts(
        "GAN",
        "GAN",
        "16 z",
        (
            Measure("discriminator", "Critic's loss", "Low: it tells real from drawn."),
            Measure("generator", "Generator's loss", "Low: it fools the critic."),
        ),
        Measure(
            "frechet",
            "Distance from real",
            "As a classifier of critters sees it. From 500 pictures, so it trembles.",
            "",
            True,
        ),
        "draws pictures at a distance of {} from real critters",
    ),
}


def create_log(request: TrainRequest, settings: Settings) -> TrainingLog:
    """Return the empty log of the training that ``request`` describes."""
    bundled = find_bundled(request.network, settings)
    return TrainingLog(TEXTS[request.network], request, read_bundled_minutes(bundled))


def plan(request: TrainRequest, settings: Settings) -> list[str]:
    """Return the arguments of the training script for ``request``."""
    every = max(SECONDS_BETWEEN_SAMPLES, 60 * request.minutes / MOST_SAMPLES)
    return [
        *("--minutes", f"{request.minutes:g}", "--seed", str(request.seed)),
        *("--held-out", str(HELD_OUT), "--samples-every", f"{every:g}"),
        *("--device", settings.device),
        *("--compare", str(find_bundled(request.network, settings))),
    ]


def find_bundled(network: str, settings: Settings) -> Path:
    """Return the folder of the bundled model of that kind."""
    return settings.models_dir / f"latent-critters-{network}"


def main() -> None:
    """Train for ``--minutes`` and save what the tab opens with."""
    parser = argparse.ArgumentParser(description="Record the training that the tab opens with.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--network", default="vae", choices=tuple(TEXTS))
    arguments = parser.parse_args()
    settings = Settings(device="cpu")
    request = TrainRequest.parse(network=arguments.network, minutes=arguments.minutes, seed=7)
    training = follow_training(f"train_{request.network}", plan(request, settings))
    record_example(EXAMPLE, create_log(request, settings), training)


if __name__ == "__main__":
    main()
