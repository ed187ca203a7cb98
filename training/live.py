"""Live reports of a training: sample pictures of fixed inputs, losses and scores.

With ``--samples-every`` a script writes into the folder ``live`` of ``--out``

    reports.jsonl   one JSON object a line, in order of time
    0.png, 1.png    samples of the model, always of the same z or prompts, row by row
    models/0        the model at a sample, if the script exports it; the latest only

and each line has a ``kind``:

    data        done, total: training pictures drawn
    reference   picture, scores: the same sample and score of the model of ``--compare``
    sample      picture, step, minutes, losses (the mean since the last report)
    loss        step, minutes, losses: before the model can draw
    score       step, minutes, scores

A line is written after its picture, so a reader of complete lines finds every picture. A folder
is moved into ``models`` when it is complete.
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
FIRST_SECONDS = 5.0  # between samples at first, when the model changes fast
Model = TypeVar("Model")
Net = TypeVar("Net", bound=PretrainedModule)


def write_report(folder: Path, kind: str, **fields: Any) -> None:
    """Add a line to the reports in ``folder``, which is created if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "reports.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": kind, **fields}) + "\n")


class LiveReport(Generic[Model]):
    """Reports on a training while it runs; without ``--samples-every`` it does nothing.

    Args:
        arguments: Those of the script: ``out``, ``samples_every`` and ``compare``.
        model: The trained model, or its moving average.
        draw: Draws a sample with a model: (N, 3, H, W) in [-1, 1], N a multiple of ``COLUMNS``.
        load: Loads a model from the folder of ``--compare``.
        score_sample: Scores a sample; without it, only ``score`` reports scores.
        save: Writes the model into a new folder, after every sample.
    """

    def __init__(
        self,
        arguments: argparse.Namespace,
        model: Model,
        draw: Callable[[Model], Tensor],
        load: Callable[[Path], Model],
        *,
        score_sample: Callable[[Tensor], Mapping[str, float]] | None = None,
        save: Callable[[Model, Path], None] | None = None,
    ) -> None:
        self.model = model
        self._folder = arguments.out / "live"
        self._every: float = arguments.samples_every
        self._compare: Path | None = arguments.compare
        self._draw, self._load, self._score_sample, self._save = draw, load, score_sample, save
        self._losses = defaultdict[str, list[float]](list)
        self._pictures = 0
        self._step = 0
        self._drawn_at = -1  # the step of the last sample
        self._start = self._due = time.monotonic()

    def begin(self, measure: Callable[[Model], Mapping[str, float]] | None = None) -> None:
        """Report the model of ``--compare``, if given, and a sample of the untrained model.

        The minutes of all reports are counted from the end of this call.

        Args:
            measure: Scores the model of ``--compare`` itself, not its sample.
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
        """Collect a step's losses, and report them when due.

        ``draw`` adds a sample; it is false while the model cannot draw yet.
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
        """Report scores, after a sample of the same weights."""
        if not self._every:
            return
        self.end()
        self._write("score", **self._when(), scores=dict(scores))

    def end(self) -> None:
        """Report a last sample, if a step was taken since the previous one."""
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
        # Intervals grow with time, up to ``--samples-every``.
        self._due = now + min(self._every, max(FIRST_SECONDS, (now - self._start) / 3))
        return losses

    def _save_picture(self, model: Model) -> tuple[str, dict[str, float]]:
        images = self._draw(model)
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{self._pictures}.png"
        self._pictures += 1
        Image.fromarray(make_grid(images)).save(self._folder / name)
        return name, dict(self._score_sample(images)) if self._score_sample else {}

    def _save_model(self, save: Callable[[Model, Path], None]) -> None:
        """Move the new model into place when it is complete, then remove the previous one."""
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
    """Return a function that decodes the same z with any network: (count, 3, H, W).

    Args:
        decode: Decodes z (count, z_dim) with a network.
        z_dim: Length of z.
        seed: Of the z.
        count: Number of z.
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
