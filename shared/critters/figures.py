"""Figures of sets of real and generated pictures, measured with the critters' classifier.

``training/evaluate_latent.py`` measures ten thousand pictures, the latent room a few hundred while
a visitor waits.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from shared.critters.attributes import BARE, VALUES
from shared.critters.picture_metrics import (
    Statistics,
    density_and_coverage,
    frechet_distance,
    pooled_features,
    precision_and_recall,
)
from shared.nets import VAE, Generator, Judge
from shared.nets.judge import judge

PAIRS = 1_000  # of pictures, whose mean distance is the diversity
POINTS = 120  # of each kind of picture in a plot
BINS = 30


@dataclass(frozen=True)
class ClassifiedPictures:
    """Features and attributes of a set of pictures, as the classifier sees them.

    Attributes:
        features: (N, D).
        answers: Attribute -> (N,) the likeliest value.
        sharpness: (N,) mean absolute difference of neighbouring pixels, 0 to 2.
        colors: (N, 320) colours and edges, without the classifier.
    """

    features: Tensor
    answers: dict[str, Tensor]
    sharpness: Tensor
    colors: Tensor

    @classmethod
    def of(cls, model: Judge, batches: Iterable[Tensor]) -> ClassifiedPictures:
        """Classify images (B, 3, 64, 64) in [-1, 1], batch by batch."""
        return cls.join([cls.of_batch(model, images) for images in batches])

    @classmethod
    def of_batch(cls, model: Judge, images: Tensor) -> ClassifiedPictures:
        """Classify one batch of images."""
        sharpness = (images[..., 1:] - images[..., :-1]).abs().mean(dim=(1, 2, 3))
        return cls(*judge(model, images), sharpness, pooled_features(images))

    @classmethod
    def join(cls, parts: Sequence[ClassifiedPictures]) -> ClassifiedPictures:
        """Concatenate several batches."""
        return cls(
            torch.cat([part.features for part in parts]),
            {name: torch.cat([part.answers[name] for part in parts]) for name in VALUES},
            torch.cat([part.sharpness for part in parts]),
            torch.cat([part.colors for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.features)

    def distance(self, other: ClassifiedPictures) -> float:
        """Frechet distance of the features."""
        return frechet_distance(
            Statistics.of_features(self.features), Statistics.of_features(other.features)
        )


def visible(answers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the visible answers: the accent only of pictures with a top, which shows it."""
    return {**answers, "accent": answers["accent"][answers["top"] != BARE]}


def count_values(answers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Count the pictures that show each value: attribute -> (number of its values,)."""
    return {
        name: torch.bincount(seen, minlength=len(VALUES[name]))
        for name, seen in visible(answers).items()
    }


def share_values(answers: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """Return the share of pictures that show each value: attribute -> one share per value."""
    return {
        name: [round(share, 4) for share in (count / max(1, int(count.sum()))).tolist()]
        for name, count in count_values(answers).items()
    }


def cover(answers: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the share of values that at least one in a thousand pictures shows."""
    least = len(answers["top"]) / 1000
    counts = count_values(answers)
    return {name: (count >= least).float().mean().item() for name, count in counts.items()}


def evenness(answers: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the entropy of each attribute's values, as a share of its maximum."""
    result = {}
    for name, count in count_values(answers).items():
        shares = count.float() / max(1, int(count.sum()))
        entropy = -torch.special.xlogy(shares, shares).sum().item()
        result[name] = round(max(0.0, entropy) / math.log(len(count)), 3)
    return result


@torch.inference_mode()
def measure_reconstructions(vae: VAE, images: Iterable[Tensor]) -> tuple[Tensor, float]:
    """Reconstruct images (B, 3, 64, 64) in [-1, 1] from mu: squared errors (N,), and L1."""
    squared, absolute = [], []
    for part in images:
        error = vae.decode(vae.encode(part)[0]) - part
        squared.append(error.square().mean(dim=(1, 2, 3)))
        absolute.append(error.abs().mean(dim=(1, 2, 3)))
    return torch.cat(squared), torch.cat(absolute).mean().item() / 2  # of a range of 0 to 1


def to_psnr(squared: Tensor | float) -> Any:
    """Peak signal-to-noise ratio in decibels of a squared error of colours in [-1, 1]."""
    if isinstance(squared, Tensor):
        return 10 * torch.log10(4 / squared)
    return 10 * math.log10(4 / squared)


def describe(real: ClassifiedPictures, drawn: ClassifiedPictures) -> dict[str, Any]:
    """Compute the figures that need only one set of pictures and the real ones."""
    precision, recall = precision_and_recall(real.features, drawn.features)
    density, coverage = density_and_coverage(real.features, drawn.features)
    even = evenness(drawn.answers)
    return {
        "frechet": round(drawn.distance(real), 3),
        "colors_and_edges": round(
            frechet_distance(
                Statistics.of_features(drawn.colors), Statistics.of_features(real.colors)
            ),
            3,
        ),
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "density": round(density, 3),
        "coverage": round(coverage, 3),
        "diversity": round(torch.pdist(drawn.features[:PAIRS]).mean().item(), 3),
        "sharpness": round(drawn.sharpness.mean().item(), 4),
        "attributes": {name: round(share, 3) for name, share in cover(drawn.answers).items()},
        "evenness": round(statistics.fmean(even.values()), 3),
        "evenness_each": even,
    }


def plot(real: ClassifiedPictures, sets: Mapping[str, ClassifiedPictures]) -> dict[str, Any]:
    """Return the data of the page's plots of ``sets``: some points, and histograms."""
    return {
        "points": project(real, sets),
        "diversity": histogram(
            {name: torch.pdist(view.features[: PAIRS // 2]) for name, view in sets.items()}
        ),
        "sharpness": histogram({name: view.sharpness for name, view in sets.items()}),
        "values": {
            name: {kind: share_values(view.answers)[name] for kind, view in sets.items()}
            for name in VALUES
        },
    }


def project(
    real: ClassifiedPictures, sets: Mapping[str, ClassifiedPictures]
) -> dict[str, list[list[float]]]:
    """Project the first pictures of each set on the first two principal axes of the real ones."""
    centred = real.features - real.features.mean(dim=0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)  # in ascending order
    axes = vectors[:, -2:].flip(1)  # (D, 2)
    return {
        name: [
            [round(float(x), 2), round(float(y), 2)]
            for x, y in (view.features[:POINTS] - real.features.mean(dim=0)) @ axes
        ]
        for name, view in sets.items()
    }


def histogram(sets: Mapping[str, Tensor], bins: int = BINS) -> dict[str, Any]:
    """Return the share of each set's numbers in each of ``bins`` bins that hold nearly all."""
    ends = torch.cat(
        [torch.quantile(_thin(values), torch.tensor([0.002, 0.998])) for values in sets.values()]
    )
    low, high = float(ends.min()), float(ends.max())
    high = high if high > low else low + 1
    return {
        "from": round(low, 4),
        "to": round(high, 4),
        **{
            name: [
                round(float(share), 4)
                for share in torch.histc(values.clamp(low, high), bins, low, high) / len(values)
            ]
            for name, values in sets.items()
        },
    }


def _thin(values: Tensor) -> Tensor:
    """Return at most a million of ``values``, the limit of torch.quantile."""
    return values[:: max(1, len(values) // 1_000_000 + 1)] if len(values) > 1_000_000 else values


def time_pictures(generator: Generator, batch: int = 1, runs: int = 30) -> float:
    """Milliseconds per picture, drawn ``batch`` at a time: the median of ``runs``."""
    z = torch.randn(batch, generator.config.z_dim)
    seconds = []
    with torch.inference_mode():
        for _ in range(runs + 3):  # the first three warm up
            start = time.perf_counter()
            generator(z)
            seconds.append(time.perf_counter() - start)
    return 1000 * statistics.median(seconds[3:]) / batch
