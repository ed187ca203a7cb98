"""A training that a visitor starts: the request, and the log that the page shows. No Gradio here.

    python -m demos.image.training

records the finished training that the tab opens with, in five minutes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from shared.live.film import format_minutes
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

SCRIPT = "train_image"
SECONDS_BETWEEN_SAMPLES = 20.0
# Narrower than the bundled U-Net, and with smaller steps: on a processor, that learns most in
# minutes. Pairs that the bundled model never saw are allowed, or half of the pictures would be
# left out; the twelve prompts ask for none of them. More critters would take longer to draw and to
# encode, and in twenty minutes it sees each of these about fifty times.
SIZE = (
    *("--width", "96", "--batch-size", "32"),
    *("--count", "2000", "--all-pairs", "--held-out", "20"),
)

# Made by ``python -m demos.image.training``; it comes with the page.
EXAMPLE = Path(__file__).with_name("training-example.json")

TEXTS = ModelTexts(
    name="model",
    parts="Text encoder and U-Net",
    drawn="twelve prompts",
    losses=(
        Measure(
            "velocity",
            "Denoising error",
            "How wrong it is about what is noise. Falls fast, then slowly.",
            "",
            True,
        ),
    ),
    score=Measure(
        "following",
        "Wishes that came true",
        "Of all that the twelve prompts ask for, as a classifier sees it. Guessing gives 12 %.",
        " %",
    ),
    verdict="draws {} of what the twelve prompts ask for",
    early="learning to read first",
)


def create_log(request: TrainingRequest, settings: Settings) -> TrainingLog:
    """Return the log of a training that ``request`` asks for, which has no reports yet."""
    return TrainingLog(TEXTS, request, read_bundled_minutes(find_bundled(settings)))


def plan(request: TrainingRequest, settings: Settings) -> list[str]:
    """Return the arguments of the training script for ``request``."""
    bundled = str(find_bundled(settings))
    return [
        *("--minutes", f"{request.minutes:g}", "--seed", str(request.seed), *SIZE),
        *("--samples-every", f"{SECONDS_BETWEEN_SAMPLES:g}", "--device", settings.device),
        *("--autoencoder", bundled, "--compare", bundled),
    ]


def find_bundled(settings: Settings) -> Path:
    """Return the folder of the bundled model."""
    return settings.models_dir / "image-critters"


def name_model(story: TrainingLog) -> str:
    """Return the title of the model that a visitor has trained."""
    minutes = max(1, round(story.minutes))
    long = f"{minutes} minute{'' if minutes == 1 else 's'}"
    return f"Yours, {long if story.minutes >= 0.75 else format_minutes(story.minutes)}"


def main() -> None:
    """Train for ``--minutes`` and keep what a first visit shows of it."""
    parser = argparse.ArgumentParser(description="Record the training that the tab opens with.")
    parser.add_argument("--minutes", type=float, default=5.0)
    arguments = parser.parse_args()
    settings = Settings(device="cpu")
    request = TrainingRequest.parse(minutes=arguments.minutes, seed=7)
    training = follow_training(SCRIPT, plan(request, settings))
    record_example(EXAMPLE, create_log(request, settings), training)


if __name__ == "__main__":
    main()
