"""The story that a watched training tells: film, curves and sentences. No Gradio here.

A room says with a ``Kind`` what is trained and judged, and ``Story`` puts the reports together.
"""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import Field

from shared.data_urls import to_data_url
from shared.live.film import (
    Curve,
    format_minutes,
    format_value,
    make_film,
    make_frame,
    show_curves,
)
from shared.live.process import Report, count_threads
from shared.requests import Request

EXAMPLE_FRAMES = 8  # of a recorded example, which comes with the page


class TrainingRequest(Request):
    """A training from random weights.

    Attributes:
        minutes: For how long.
        seed: Of the weights, the order of the pictures, and of the noise of those that are shown.
    """

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
    """What is said of a kind of model.

    Attributes:
        name: What the trained and the bundled one are called.
        parts: What of it is trained, first word of a line.
        drawn: What the pictures of a sample are drawn from.
        losses: What it is trained with.
        score: What it is judged by.
        verdict: A sentence about a score, with a place for it.
        early: What it learns before it can draw anything.
    """

    name: str
    parts: str
    drawn: str
    losses: tuple[Measure, ...]
    score: Measure
    verdict: str
    early: str = ""


@dataclass
class Story:
    """What one training has told so far.

    Attributes:
        kind: The words for what is trained.
        request: What was asked for.
        bundled_minutes: How long the bundled model was trained, if known.
    """

    kind: Kind
    request: TrainingRequest
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
    early: bool = False
    _told: int = 0

    def add(self, report: Report) -> None:
        """Take note of a report."""
        figures = report.figures
        if report.kind == "data":
            self.critters, self.drawn = figures["count"], figures["done"] / figures["total"]
        elif report.kind == "reference" and report.picture:
            time = f", trained {self.bundled_minutes:.0f} minutes" if self.bundled_minutes else ""
            label = f"<b>The bundled {self.kind.name}</b>{time}: the same {self.kind.drawn}"
            self.reference = make_frame(report.picture, label)
            self.reference_scores = figures["scores"]
        elif report.kind in ("sample", "loss"):
            self.step, self.minutes = figures["step"], figures["minutes"]
            self.early = report.kind == "loss"
            if figures["losses"]:
                self.losses.append((self.minutes, figures["losses"]))
            if report.picture:
                when = (
                    f"after {self.step:,} steps" if self.step else "before it has learned a thing"
                )
                label = f"<b>Yours</b>, {when}: {self.kind.drawn}"
                self.frames.append(make_frame(report.picture, label, self.minutes))
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
            return f"Asking the bundled model for the same {self.kind.drawn}"
        minutes = min(self.minutes + elapsed / 60, self.request.minutes)
        left = self.request.minutes - minutes
        rest = f"{format_minutes(left)} left" if left > 0 else "a last look"
        words = ["Training", format_minutes(minutes), rest, self.kind.early if self.early else ""]
        return " · ".join(filter(None, words))

    def caption(self) -> str:
        """Say in a line what is trained."""
        return (
            f"{self.kind.parts} from random weights, seed {self.request.seed} · "
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


def _curve(
    measure: Measure,
    history: list[tuple[float, Mapping[str, float]]],
    reference: float | None = None,
) -> Curve:
    points = [
        (minutes, values[measure.key]) for minutes, values in history if measure.key in values
    ]
    return Curve(measure.title, measure.note, points, measure.unit, reference, measure.logarithmic)


def read_bundled_minutes(folder: Path) -> float | None:
    """Return how long the bundled model in ``folder`` was trained, if its record says so."""
    try:
        minutes = json.loads((folder / "training.json").read_text("utf-8"))["minutes"]
        return float(sum(minutes.values()) if isinstance(minutes, dict) else minutes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_example(path: Path) -> dict[str, Any]:
    """Return the finished training of the first visit: film, curves and caption, or nothing."""
    if not path.exists():
        return {}
    example = json.loads(path.read_text("utf-8"))
    curves = [Curve(**curve) for curve in example["curves"]]
    return example | {"curves": show_curves(curves, example["minutes"])}


def record_example(path: Path, story: Story, reports: Iterable[Report | None]) -> None:
    """Follow a training to its end and keep in ``path`` what a first visit shows of it."""
    for report in reports:
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
        "minutes": story.request.minutes,
        "caption": f"A finished example. {story.caption()}<br>{ending}",
    }
    path.write_text(json.dumps(example) + "\n", "utf-8")


def shrink(frame: dict[str, str]) -> dict[str, str]:
    """Return the frame with its picture as a small WebP."""
    png = base64.b64decode(frame["source"].partition(",")[2])
    picture = Image.open(io.BytesIO(png))
    return frame | {"source": to_data_url(picture, "WEBP", quality=80, method=6)}
