"""What a training tells those who watch it: pictures of the same things, losses and scores.

With ``--samples-every`` a script writes into the folder ``live`` of ``--out``

    reports.jsonl   one JSON object a line, in the order in which things happened
    0.png, 1.png    what the model drew, always of the same z or prompts, row by row
    models/0        what the model was then, in a script that hands that out; the last few

and each line has a ``kind``:

    data        done, total: pictures drawn to learn from
    reference   picture, scores: the same things and the same measure, by the model of ``--compare``
    sample      picture, step, minutes, losses (the mean since the report before)
    loss        step, minutes, losses: where there is nothing to draw yet
    score       step, minutes, scores

A line is written after the picture that it names, so whoever reads whole lines finds all of it. A
folder in ``models`` is moved there when it is whole.
"""

from __future__ import annotations

import argparse
import json
import shutil
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

COLUMNS = 4
FIRST_SECONDS = 5.0  # between samples in the beginning, when most happens
Model = TypeVar("Model")
Net = TypeVar("Net", bound=PretrainedModule)


def write_report(folder: Path, kind: str, **fields: Any) -> None:
    """Add a line to the reports in ``folder``, which is created where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **fields}) + "\n")


class LiveReport(Generic[Model]):
    """Reports on a training while it runs; without ``--samples-every`` it does nothing.

    Args:
        arguments: Those of the script: ``out``, ``samples_every`` and ``compare``.
        model: What is trained, or the moving average of it.
        draw: What a model of that kind draws: (N, 3, H, W) in [-1, 1], N a multiple of ``COLUMNS``.
        load: Reads such a model from the folder of ``--compare``.
        look: Scores what was drawn; without it, scores come by ``score`` only.
        save: Writes the model into a new folder, after every sample.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        model: Model,
        draw: Callable[[Model], Tensor],
        load: Callable[[Path], Model],
        *,
        look: Callable[[Tensor], Mapping[str, float]] | None = None,
        save: Callable[[Model, Path], None] | None = None,
    ) -> None:
        self.model = model
        self._folder = arguments.out / "live"
        self._every: float = arguments.samples_every
        self._compare: Path | None = arguments.compare
        self._draw, self._load, self._look, self._save = draw, load, look, save
        self._losses = defaultdict[str, list[float]](list)
        self._pictures = 0
        self._step = 0
        self._drawn_at = -1  # the step of the last sample
        self._start = self._due = time.monotonic()

    def begin(self, measure: Callable[[Model], Mapping[str, float]] | None = None) -> None:
        """Show the model of ``--compare``, if one is given, and what the model draws untrained.

        The minutes of all reports are counted from the end of this.

        Args:
            measure: Scores the model of ``--compare`` where no picture is looked at.
        """
        if not self._every:
            return
        if self._compare:
            reference = self._load(self._compare)
            picture, scores = self._save_picture(reference)
            if measure:
                scores |= measure(reference)
            self._write("reference", picture=picture, scores=scores)
        self._start = time.monotonic()
        self._sample()
        self._start = time.monotonic()

    def follow(self, losses: Mapping[str, float], *, draw: bool = True) -> None:
        """Take note of a step's losses; when it is time to, tell them, with a picture or without.

        The picture is for a model that can draw something already.
        """
        if not self._every:
            return
        self._step += 1
        for name, value in losses.items():
            self._losses[name].append(value)
        if time.monotonic() < self._due:
            return
        if draw:
            self._sample()
        else:
            self._write("loss", **self._when(), losses=self._mean_losses())

    def score(self, scores: Mapping[str, float]) -> None:
        """Report measures, and draw what they were taken of."""
        if not self._every:
            return
        self.end()
        self._write("score", **self._when(), scores=dict(scores))

    def end(self) -> None:
        """Draw once more, if a step was taken since the last picture."""
        if self._every and self._step != self._drawn_at:
            self._sample()

    def _sample(self) -> None:
        picture, scores = self._save_picture(self.model)
        if self._save:
            self._save_model(self._save)
        self._write("sample", picture=picture, **self._when(), losses=self._mean_losses())
        if scores:
            self._write("score", **self._when(), scores=scores)
        self._drawn_at = self._step

    def _mean_losses(self) -> dict[str, float]:
        losses = {name: sum(values) / len(values) for name, values in self._losses.items()}
        self._losses.clear()
        now = time.monotonic()
        # Often in the beginning, then less and less, as the strip of pictures shows it.
        self._due = now + min(self._every, max(FIRST_SECONDS, (now - self._start) / 3))
        return losses

    def _save_picture(self, model: Model) -> tuple[str, dict[str, float]]:
        images = self._draw(model)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._pictures}.png"
        self._pictures += 1
        Image.fromarray(make_grid(images)).save(self._folder / name)
        return name, dict(self._look(images)) if self._look else {}

    def _save_model(self, save: Callable[[Model, Path], None]) -> None:
        """Move the new one into place when it is whole, and only then remove the one before."""
        models = self._folder / "models"
        unfinished = self._folder / "unfinished"
        models.mkdir(parents=True, exist_ok=True)
        earlier = list(models.iterdir())
        save(self.model, unfinished)
        unfinished.replace(models / str(self._pictures))
        for folder in earlier:
            shutil.rmtree(folder)

    def _when(self) -> dict[str, float]:
        minutes = (time.monotonic() - self._start) / 60 if self._step else 0.0
        return {"step": self._step, "minutes": round(minutes, 4)}

    def _write(self, kind: str, **fields: Any) -> None:
        write_report(self._folder, kind, **fields)


def draw_fixed_z(
    decode: Callable[[Net, Tensor], Tensor], *, z_dim: int, seed: int, count: int = 16
) -> Callable[[Net], Tensor]:
    """Return a function that lets a network draw always the same z: (count, 3, H, W).

    Args:
        decode: Draws z (count, z_dim) with a network.
        z_dim: Numbers in a z.
        seed: Of the z.
        count: How many.
    """
    z = torch.randn(count, z_dim, generator=torch.Generator().manual_seed(seed))

    @torch.inference_mode()
    def draw(model: Net) -> Tensor:
        training = model.training
        model.eval()
        images = decode(model, z.to(next(model.parameters()).device))
        model.train(training)
        return images

    return draw


def make_grid(images: Tensor) -> np.ndarray:
    """Put pictures (N, 3, H, W) in [-1, 1] side by side, ``COLUMNS`` a row: (., ., 3) uint8."""
    pixels = ((images.float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte()
    height, width = pixels.shape[2:]
    rows = pixels.view(-1, COLUMNS, 3, height, width)
    return rows.permute(0, 3, 1, 4, 2).reshape(-1, COLUMNS * width, 3).numpy()
