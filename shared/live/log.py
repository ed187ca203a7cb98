"""Collects the reports of a running training into a film, curves and sentences. No Gradio here.

``TrainingLog`` does that; a room describes the model and its metrics with ``ModelTexts``.
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

EXAMPLE_FRAMES = 8  # of a recorded example; few, since every page load sends them


class TrainingRequest(Request):
    """A training from random weights.

    Attributes:
        minutes: Training time.
        seed: Of the weights, the order of the pictures, and the noise of the sample pictures.
    """

    minutes: float = Field(5.0, ge=1.0, le=20.0)


@dataclass(frozen=True)
class Measure:
    """A metric that is shown as a curve: its key in the reports, and its texts."""

    key: str
    title: str
    note: str
    unit: str = ""
    logarithmic: bool = False


@dataclass(frozen=True)
class ModelTexts:
    """The page's texts about a model that is trained, and its metrics.

    Attributes:
        name: Name of the model.
        parts: Which of its networks are trained.
        drawn: What the pictures of a sample are drawn from.
        losses: The training losses.
        score: The metric that the trained and the bundled model are compared by.
        verdict: A sentence about a score, with ``{}`` for the value.
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
class TrainingLog:
    """The reports of one training so far.

    Attributes:
        texts: The texts about the model.
        request: The visitor's request.
        bundled_minutes: How long the bundled model was trained, if known.
    """

    texts: ModelTexts
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
    _frames_sent: int = 0

    def add(self, report: Report) -> None:
        """Add a report."""
        figures = report.figures
        if report.kind == "data":
            self.critters, self.drawn = figures["count"], figures["done"] / figures["total"]
        elif report.kind == "reference" and report.picture:
            time = f", trained {self.bundled_minutes:.0f} minutes" if self.bundled_minutes else ""
            label = f"<b>The bundled {self.texts.name}</b>{time}: the same {self.texts.drawn}"
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
                label = f"<b>Yours</b>, {when}: {self.texts.drawn}"
                self.frames.append(make_frame(report.picture, label, self.minutes))
        elif report.kind == "score":
            self.scores.append((figures["minutes"], figures["scores"]))

    def film(self, run: str) -> dict[str, Any] | None:
        """Return the frames since the last call as a value of the film; None if there are none."""
        new, first = self.frames[self._frames_sent :], self._frames_sent
        self._frames_sent = len(self.frames)
        return make_film(run, new, self.reference, first=first) if new else None

    def curves(self) -> list[Curve]:
        """Return the losses and the score as curves."""
        score = self.texts.score
        return [
            *(_curve(measure, self.losses) for measure in self.texts.losses),
            _curve(score, self.scores, self.reference_scores.get(score.key)),
        ]

    def progress(self, elapsed: float) -> str:
        """Return a status line; ``elapsed`` seconds have passed since the last sample."""
        if not self.frames:
            if self.drawn is None:
                return "Starting"
            if self.drawn < 1:
                return f"Drawing critters to learn from · {self.drawn:.0%}"
            return f"Asking the bundled model for the same {self.texts.drawn}"
        minutes = min(self.minutes + elapsed / 60, self.request.minutes)
        left = self.request.minutes - minutes
        rest = f"{format_minutes(left)} left" if left > 0 else "a last look"
        words = ["Training", format_minutes(minutes), rest, self.texts.early if self.early else ""]
        return " · ".join(filter(None, words))

    def caption(self) -> str:
        """Return a line about the model and its data."""
        return (
            f"{self.texts.parts} from random weights, seed {self.request.seed} · "
            f"{self.critters:,} critters to learn from · {self.step:,} steps"
        )

    def ending(self, machine: str = "this machine") -> str:
        """Compare the model that ``machine`` trained with the bundled model, in HTML."""
        texts, threads = self.texts, count_threads()
        key, unit = texts.score.key, texts.score.unit
        sentence = (
            f"{format_minutes(self.minutes)} minutes on {machine}, "
            f"{threads} thread{'' if threads == 1 else 's'}, {self.step:,} steps"
        )
        if self.scores:
            score = format_value(self.scores[-1][1][key]) + unit
            sentence += f": yours {texts.verdict.format(f'<b>{score}</b>')}"
        if key in self.reference_scores:
            reference = format_value(self.reference_scores[key]) + unit
            time = f", after {self.bundled_minutes:.0f} minutes," if self.bundled_minutes else ""
            sentence += f". The bundled {texts.name}{time} reaches <b>{reference}</b>"
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
    """Return how long the bundled model in ``folder`` was trained, or None without a record."""
    try:
        minutes = json.loads((folder / "training.json").read_text("utf-8"))["minutes"]
        return float(sum(minutes.values()) if isinstance(minutes, dict) else minutes)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def read_example(path: Path) -> dict[str, Any]:
    """Return the recorded training that a tab opens with: film, curves and caption, or {}."""
    if not path.exists():
        return {}
    example = json.loads(path.read_text("utf-8"))
    curves = [Curve(**curve) for curve in example["curves"]]
    return example | {"curves": show_curves(curves, example["minutes"])}


def record_example(path: Path, log: TrainingLog, reports: Iterable[Report | None]) -> None:
    """Follow a training to its end and save in ``path`` what the tab opens with."""
    for report in reports:
        if report:
            log.add(report)
    count = min(EXAMPLE_FRAMES, len(log.frames))
    last = len(log.frames) - 1
    chosen = [log.frames[round(index * last / (count - 1))] for index in range(count)]
    reference = log.reference and shrink(log.reference)
    ending = log.ending("the machine that made it")
    example = {
        "film": make_film("example", [shrink(frame) for frame in chosen], reference),
        "curves": [dataclasses.asdict(curve) for curve in log.curves()],
        "minutes": log.request.minutes,
        "caption": f"A finished example. {log.caption()}<br>{ending}",
    }
    path.write_text(json.dumps(example) + "\n", "utf-8")


def shrink(frame: dict[str, str]) -> dict[str, str]:
    """Return the frame with its picture re-encoded as a small WebP."""
    png = base64.b64decode(frame["source"].partition(",")[2])
    picture = Image.open(io.BytesIO(png))
    return frame | {"source": to_data_url(picture, "WEBP", quality=80, method=6)}
