"""Measures the two models on this machine, and reads recorded measurements. No Gradio here.

``shared.critters.figures`` computes the figures, of a few hundred pictures here and of ten
thousand in ``training/evaluate_latent.py``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

from pydantic import Field

from shared.errors import ModelUnavailable
from shared.requests import Request
from shared.settings import Settings

if TYPE_CHECKING:
    import torch

    from shared.critters.figures import ClassifiedPictures
    from shared.nets import VAE, Generator, Judge

FILE = "latent-comparison.json"
JUDGE = "latent/critters-judge"
COMMAND = f"python -m training.evaluate_latent --out models/{FILE}"
BATCH = 25  # pictures between two checks of ``stop``
RECONSTRUCTED = 100  # of the real pictures, by the VAE


class MeasureRequest(Request):
    """How much to measure.

    Attributes:
        dataset: What both models were trained on.
        count: Pictures of each kind: real, real again for the floor, by the VAE, by the GAN.
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    count: int = Field(300, ge=50, le=1000)


@dataclass(frozen=True)
class MeasureStep:
    """Progress of a measurement.

    Attributes:
        doing: What is being done, in words.
        progress: 0 to 1.
        figures: Kind of picture (real, vae, gan) -> figure -> value; empty until the end.
        plots: As in ``shared.critters.figures.plot``; empty until the end.
    """

    doing: str
    progress: float
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    plots: dict[str, Any] = field(default_factory=dict)


def read_comparison(settings: Settings) -> dict[str, Any] | None:
    """Read the measurement of ``COMMAND``; None if there is none.

    Raises:
        ModelUnavailable: The file is damaged.
    """
    path: Path = settings.models_dir / FILE
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if not {"real", "vae", "gan"} <= found["figures"].keys() or not found["count"] > 0:
            raise ValueError("figures are missing")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelUnavailable(
            f"The figures in models/{FILE} are damaged. Measure them again with: {COMMAND}"
        ) from error
    return dict(found)


def measure(
    vae: VAE, gan: Generator, judge: Judge, request: MeasureRequest, stop: Event
) -> Iterator[MeasureStep]:
    """Draw real critters and pictures of both models, classify them, and measure.

    Yields a step every ``BATCH`` pictures; the last one has the figures. ``stop`` ends it early.
    """
    import torch

    from shared.critters.figures import (
        ClassifiedPictures,
        describe,
        measure_reconstructions,
        plot,
        time_pictures,
        to_psnr,
    )

    batches = {
        "Drawing real critters": _draw_real(request.count, request.seed + 1),
        "Drawing other real critters": _draw_real(request.count, request.seed + 2),
        "Drawing with the VAE": _draw(vae.decoder, request),
        "Drawing with the GAN": _draw(gan, request),
    }
    views: list[ClassifiedPictures] = []
    squared: list[torch.Tensor] = []
    for index, (doing, pictures) in enumerate(batches.items()):
        parts: list[ClassifiedPictures] = []
        for images in pictures:
            if stop.is_set():
                return
            parts.append(ClassifiedPictures.of_batch(judge, images))
            if index == 0 and len(squared) * BATCH < RECONSTRUCTED:
                squared.append(measure_reconstructions(vae, [images])[0])
            share = len(parts) * BATCH / request.count
            yield MeasureStep(doing, 0.95 * (index + min(1.0, share)) / len(batches))
        views.append(ClassifiedPictures.join(parts))
    real, *others = views
    sets = dict(zip(("real", "vae", "gan"), others, strict=True))
    yield MeasureStep("Comparing them", 0.95)
    figures = {name: describe(real, view) for name, view in sets.items()}
    figures["vae"]["psnr_db"] = round(to_psnr(torch.cat(squared).mean().item()), 2)
    for name, generator in (("vae", vae.decoder), ("gan", gan)):
        figures[name]["ms_alone"] = round(time_pictures(generator, runs=10), 1)
        figures[name]["parameters"] = sum(weight.numel() for weight in generator.parameters())
    yield MeasureStep("Done", 1.0, figures, plot(real, sets))


def _draw(generator: Generator, request: MeasureRequest) -> Iterator[torch.Tensor]:
    from shared.critters.picture_metrics import drawn_batches

    return drawn_batches(generator, request.count, seed=request.seed, batch=BATCH)


def _draw_real(count: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield new real critters: (BATCH, 3, 64, 64) in [-1, 1] each."""
    import numpy as np

    from shared.critters.attributes import VALUES, render_critter, sample_attributes
    from shared.critters.picture_metrics import to_model_range

    rows = sample_attributes(count, seed=seed)
    for first in range(0, count, BATCH):
        words = [
            {name: VALUES[name][int(column[row])] for name, column in rows.items()}
            for row in range(first, min(count, first + BATCH))
        ]
        yield to_model_range(np.stack([render_critter(one) for one in words]))
