"""What a training tells those who watch it: pictures of the same z, losses and scores.

With ``--samples-every`` a script writes into the folder ``live`` of ``--out``

    reports.jsonl   one JSON object a line, in the order in which things happened
    0.png, 1.png    what the model drew, four by four, always of the same 16 z

and each line has a ``kind``:

    data        done, total: pictures drawn to learn from
    reference   picture, scores: the same 16 z and the same measure, by the model of ``--compare``
    sample      picture, step, minutes, losses (the mean since the sample before)
    score       step, minutes, scores

A line is written after the picture that it names, so whoever reads whole lines finds all of it.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shared.nets.generator import PretrainedModule
from training.common import Budget

SIDE = 4  # pictures a row, and rows
Model = TypeVar("Model", bound=PretrainedModule)


def write_report(folder: Path, kind: str, **fields: Any) -> None:
    """Add a line to the reports in ``folder``, which is created where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **fields}) + "\n")


class LiveReport(Generic[Model]):
    """Reports on a training while it runs; without ``--samples-every`` it does nothing.

    Args:
        arguments: Those of the script: ``out``, ``seed``, ``samples_every`` and ``compare``.
        model: What is trained, or the moving average of it.
        draw: Draws z (16, z_dim) with a model of that kind: (16, 3, H, W) in [-1, 1].
    """

    def __init__(
        self, arguments: argparse.Namespace, model: Model, draw: Callable[[Model, Tensor], Tensor]
    ) -> None:
        self._folder = arguments.out / "live"
        self._every: float = arguments.samples_every
        self._compare: Path | None = arguments.compare
        self._model = model
        self._draw = draw
        rng = torch.Generator().manual_seed(arguments.seed)
        self._z = torch.randn(SIDE * SIDE, model.config.z_dim, generator=rng)  # type: ignore[arg-type, union-attr]
        self._losses = defaultdict[str, list[float]](list)
        self._pictures = 0
        self._step = 0  # of this run
        self._drawn_at = -1  # the step of the last sample
        self._due = 0.0

    def begin(self, measure: Callable[[Model], Mapping[str, float]]) -> None:
        """Show the model of ``--compare``, if one is given, and what the model draws untrained."""
        if not self._every:
            return
        if self._compare:
            reference = type(self._model).from_pretrained(self._compare, local_files_only=True)
            reference.to(next(self._model.parameters()).device)
            picture = self._save_picture(reference)
            self._write("reference", picture=picture, scores=dict(measure(reference)))
        self._sample(Budget(0))

    def follow(self, budget: Budget, losses: Mapping[str, float]) -> None:
        """Take note of a step's losses; draw when it is time to."""
        if not self._every:
            return
        self._step += 1
        for name, value in losses.items():
            self._losses[name].append(value)
        if time.monotonic() >= self._due:
            self._sample(budget)

    def score(self, budget: Budget, scores: Mapping[str, float]) -> None:
        """Report measures, and draw what they were taken of."""
        if not self._every:
            return
        if self._step != self._drawn_at:
            self._sample(budget)
        self._write("score", **self._when(budget), scores=dict(scores))

    def _sample(self, budget: Budget) -> None:
        losses = {name: sum(values) / len(values) for name, values in self._losses.items()}
        self._losses.clear()
        picture = self._save_picture(self._model)
        self._write("sample", picture=picture, **self._when(budget), losses=losses)
        self._drawn_at, self._due = self._step, time.monotonic() + self._every

    def _save_picture(self, model: Model) -> str:
        device = next(model.parameters()).device
        training = model.training
        model.eval()
        with torch.inference_mode():
            images = self._draw(model, self._z.to(device))
        model.train(training)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._pictures}.png"
        self._pictures += 1
        Image.fromarray(make_grid(images)).save(self._folder / name)
        return name

    def _when(self, budget: Budget) -> dict[str, float]:
        return {"step": self._step, "minutes": round(budget.minutes_spent, 4)}

    def _write(self, kind: str, **fields: Any) -> None:
        write_report(self._folder, kind, **fields)


def make_grid(images: Tensor) -> np.ndarray:
    """Put 16 pictures (16, 3, H, W) in [-1, 1] side by side: (4 H, 4 W, 3) uint8."""
    pixels = ((images.float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    height, width = pixels.shape[2:]
    rows = pixels.view(SIDE, SIDE, 3, height, width)
    return rows.permute(0, 3, 1, 4, 2).reshape(SIDE * height, SIDE * width, 3).numpy()
