"""A training of the visitor's own: what can be asked for, and the story it tells. No Gradio here.

    python -m demos.latent.training

records the finished training that the tab opens with, in five minutes.
"""

from __future__ import annotations

import argparse
import base64
import dataclasses
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from pydantic import Field

from shared.live_training import Report, count_threads, follow_training
from shared.requests import Request
from shared.settings import Settings
from shared.training_film import (
    Curve,
    format_minutes,
    format_value,
    make_film,
    make_frame,
    show_curves,
)

HELD_OUT = 500
SECONDS_BETWEEN_SAMPLES = 5.0
MOST_SAMPLES = 120  # of a run: they stay in the memory of the visitor's browser

# Made by ``python -m demos.latent.training``; it comes with the page, hence few frames.
EXAMPLE = Path(__file__).with_name("training-example.json")
EXAMPLE_FRAMES = 8

Network = Literal["vae", "gan"]


class TrainRequest(Request):
    """A training from random weights.

    Attributes:
        network: What to train.
        minutes: For how long.
        seed: Of the weights, the order of the pictures, and of the 16 z that are shown.
    """

    network: Network = "vae"
    minutes: float = Field(5.0, ge=1.0, le=20.0)


@dataclass(frozen=True)
class Measure:
    """A figure that is shown as a curve: its key in the reports, and the words for it."""

    key: str
    title: str
    note: str
    unit: str = ""
    logarithmic: bool = False


@dataclass(frozen=True)
class Kind:
    """What is said of a kind of network.

    Attributes:
        name: Its name.
        losses: What it is trained with.
        score: What it is judged by.
        verdict: A sentence about a score, with a place for it.
    """

    name: str
    losses: tuple[Measure, ...]
    score: Measure
    verdict: str


KINDS: dict[str, Kind] = {
    "vae": Kind(
        "VAE",
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
    "gan": Kind(
        "GAN",
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


def read_bundled_minutes(network: str, settings: Settings) -> float | None:
    """Return how long the bundled model was trained, if its record says so."""
    try:
        record = json.loads((find_bundled(network, settings) / "training.json").read_text("utf-8"))
        return float(record["minutes"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Story:
    """What one training has told so far.

    Attributes:
        request: What was asked for.
        bundled_minutes: How long the bundled model was trained, if known.
    """

    request: TrainRequest
    bundled_minutes: float | None = None
    critters: int = 0
    step: int = 0
    minutes: float = 0.0
    reference: dict[str, str] | None = None
    reference_scores: Mapping[str, float] = field(default_factory=dict)
    frames: list[dict[str, str]] = field(default_factory=list)
    losses: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    scores: list[tuple[float, Mapping[str, float]]] = field(default_factory=list)
    drawn: float | None = None
    _told: int = 0

    @property
    def kind(self) -> Kind:
        """The words for what is trained."""
        return KINDS[self.request.network]

    def add(self, report: Report) -> None:
        """Take note of a report."""
        figures = report.figures
        if report.kind == "data":
            self.critters, self.drawn = figures["count"], figures["done"] / figures["total"]
        elif report.kind == "reference" and report.picture:
            time = f", trained {self.bundled_minutes:.0f} minutes" if self.bundled_minutes else ""
            label = f"<b>The bundled {self.kind.name}</b>{time}: the same 16 z"
            self.reference = make_frame(report.picture, label)
            self.reference_scores = figures["scores"]
        elif report.kind == "sample" and report.picture:
            self.step, self.minutes = figures["step"], figures["minutes"]
            when = f"after {self.step:,} steps" if self.step else "before it has learned anything"
            label = f"<b>Yours</b>, {when}: 16 random z"
            self.frames.append(make_frame(report.picture, label, self.minutes))
            if figures["losses"]:
                self.losses.append((self.minutes, figures["losses"]))
        elif report.kind == "score":
            self.scores.append((figures["minutes"], figures["scores"]))

    def film(self, run: str) -> dict[str, Any] | None:
        """Return what the film has not been told yet, or None if there is nothing new."""
        new, first = self.frames[self._told :], self._told
        self._told = len(self.frames)
        return make_film(run, new, self.reference, first=first) if new else None

    def curves(self) -> list[Curve]:
        """Return the losses and the score as curves."""
        score = self.kind.score
        return [
            *(_curve(measure, self.losses) for measure in self.kind.losses),
            _curve(score, self.scores, self.reference_scores.get(score.key)),
        ]

    def progress(self, elapsed: float) -> str:
        """Say where the training is; ``elapsed`` seconds have passed since the last sample."""
        if not self.frames:
            if self.drawn is None:
                return "Starting"
            if self.drawn < 1:
                return f"Drawing critters to learn from · {self.drawn:.0%}"
            return "Asking the bundled model for the same 16 z"
        minutes = min(self.minutes + elapsed / 60, self.request.minutes)
        left = self.request.minutes - minutes
        rest = f"{format_minutes(left)} left" if left > 0 else "a last look"
        return f"Training · {format_minutes(minutes)} · {rest}"

    def caption(self) -> str:
        """Say in a line what is trained."""
        return (
            f"{self.kind.name} from random weights, seed {self.request.seed} · "
            f"{self.critters:,} critters to learn from · {self.step:,} steps"
        )

    def ending(self, machine: str = "this machine") -> str:
        """Compare what came out on ``machine`` with the bundled model, in HTML."""
        kind, threads = self.kind, count_threads()
        key, unit = kind.score.key, kind.score.unit
        sentence = (
            f"{format_minutes(self.minutes)} minutes on {machine}, "
            f"{threads} thread{'' if threads == 1 else 's'}, {self.step:,} steps"
        )
        if self.scores:
            mine = format_value(self.scores[-1][1][key]) + unit
            sentence += f": yours {kind.verdict.format(f'<b>{mine}</b>')}"
        if key in self.reference_scores:
            theirs = format_value(self.reference_scores[key]) + unit
            time = f", after {self.bundled_minutes:.0f} minutes," if self.bundled_minutes else ""
            sentence += f". The bundled {kind.name}{time} reaches <b>{theirs}</b>"
        return sentence + "."


def read_example() -> dict[str, Any]:
    """Return the finished training of the first visit: film, curves and caption, or nothing."""
    if not EXAMPLE.exists():
        return {}
    example = json.loads(EXAMPLE.read_text("utf-8"))
    curves = [Curve(**curve) for curve in example["curves"]]
    return example | {"curves": show_curves(curves, example["minutes"])}


def _curve(
    measure: Measure,
    history: list[tuple[float, Mapping[str, float]]],
    reference: float | None = None,
) -> Curve:
    points = [(minutes, values[measure.key]) for minutes, values in history]
    return Curve(measure.title, measure.note, points, measure.unit, reference, measure.logarithmic)


def shrink(frame: dict[str, str]) -> dict[str, str]:
    """Return the frame with its picture as a small WebP."""
    png = base64.b64decode(frame["source"].partition(",")[2])
    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(buffer, "WEBP", quality=80, method=6)
    data = base64.b64encode(buffer.getvalue()).decode()
    return frame | {"source": "data:image/webp;base64," + data}


def main() -> None:
    """Train for ``--minutes`` and keep what a first visit shows of it."""
    parser = argparse.ArgumentParser(description="Record the training that the tab opens with.")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--network", default="vae", choices=tuple(KINDS))
    arguments = parser.parse_args()
    settings = Settings(device="cpu")
    request = TrainRequest.parse(network=arguments.network, minutes=arguments.minutes, seed=7)
    story = Story(request, read_bundled_minutes(request.network, settings))
    for report in follow_training(f"train_{request.network}", plan(request, settings)):
        if report:
            story.add(report)
    count = min(EXAMPLE_FRAMES, len(story.frames))
    last = len(story.frames) - 1
    chosen = [story.frames[round(index * last / (count - 1))] for index in range(count)]
    reference = story.reference and shrink(story.reference)
    ending = story.ending("the machine that made it")
    example = {
        "film": make_film("example", [shrink(frame) for frame in chosen], reference),
        "curves": [dataclasses.asdict(curve) for curve in story.curves()],
        "minutes": request.minutes,
        "caption": f"A finished example. {story.caption()}<br>{ending}",
    }
    EXAMPLE.write_text(json.dumps(example) + "\n", "utf-8")


if __name__ == "__main__":
    main()
