"""Batches and metrics of the VAE and the GAN, for training and for the page.

The usual Frechet inception distance needs a pretrained network. Ours uses simple statistics or the
features of our own classifier, so its values are comparable only with each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.nets import Generator

# Modes of torch.cdist: by a matrix product, faster but rounded differently each time, or exact.
_FAST, _EXACT = "use_mm_for_euclid_dist_if_necessary", "donot_use_mm_for_euclid_dist"
_CHUNK = 500  # pictures whose distances to all others are in memory at once


def to_model_range(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def sample_batches(
    images: np.ndarray, batch: int, device: torch.device, *, seed: int
) -> Iterator[Tensor]:
    """Yield ``batch`` pictures in [-1, 1] endlessly, reshuffled for every pass over ``images``."""
    rng = torch.Generator().manual_seed(seed)
    while True:
        for indices in torch.randperm(len(images), generator=rng).split(batch):
            yield to_model_range(images[indices.numpy()]).to(device)


def pooled_features(images: Tensor) -> Tensor:
    """Colours and edge strengths on an 8 x 8 grid: (N, 3, 64, 64) in [-1, 1] to (N, 320)."""
    grey = images.mean(dim=1, keepdim=True)
    across = F.pad((grey[..., 1:] - grey[..., :-1]).abs(), (0, 1))
    down = F.pad((grey[..., 1:, :] - grey[..., :-1, :]).abs(), (0, 0, 0, 1))
    return F.adaptive_avg_pool2d(torch.cat([images, across, down], dim=1), 8).flatten(1)


@dataclass(frozen=True)
class Statistics:
    """Mean (D,) and covariance (D, D) of features, in float64."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, images: Tensor) -> Statistics:
        """Measure colours and edges of images (N, 3, 64, 64) in [-1, 1]."""
        return cls.of_features(pooled_features(images))

    @classmethod
    def of_features(cls, features: Tensor) -> Statistics:
        """Measure features (N, D) of any kind."""
        values = features.double().cpu().numpy()
        return cls(values.mean(axis=0), np.cov(values, rowvar=False))


def frechet_distance(a: Statistics, b: Statistics) -> float:
    """Distance of two Gaussians (Dowson and Landau 1982), as the FID uses it; 0 means equal."""
    values, vectors = np.linalg.eigh(a.covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ b.covariance @ root).clip(0)).sum()
    spread = np.trace(a.covariance) + np.trace(b.covariance) - 2 * cross
    return max(0.0, float(np.square(a.mean - b.mean).sum() + spread))


def precision_and_recall(real: Tensor, drawn: Tensor, nearest: int = 3) -> tuple[float, float]:
    """Share of ``drawn`` (N, D) within the radius of a real picture (M, D), and the reverse.

    The radius of a picture is the distance to the ``nearest``-th of its own set (Kynkaanniemi et
    al. 2019, https://arxiv.org/abs/1904.06991). Both are 1 for a set and itself.
    """

    def share_within(points: Tensor, others: Tensor) -> float:
        reach = measure_reach(others, nearest)
        inside = [(torch.cdist(part, others) <= reach).any(dim=1) for part in points.split(_CHUNK)]
        return torch.cat(inside).float().mean().item()

    return share_within(drawn, real), share_within(real, drawn)


def density_and_coverage(real: Tensor, drawn: Tensor, nearest: int = 5) -> tuple[float, float]:
    """Density and coverage of the neighbourhoods of ``real`` (M, D) by ``drawn`` (N, D).

    Density is the number of real neighbourhoods around a drawn picture, over ``nearest``; coverage
    is the share of real neighbourhoods with a drawn picture in them (Naeem et al. 2020,
    https://arxiv.org/abs/2002.09797). One real outlier with a large radius distorts neither, unlike
    precision. Both are 1 for a set and itself; of two sets of the same kind the density is
    about 1, the coverage about 1 - 1 / 2 ** nearest.
    """
    reach = measure_reach(real, nearest, exact=True)
    hits, met = 0, torch.zeros(len(real), dtype=torch.bool)
    for part in drawn.split(_CHUNK):
        inside = torch.cdist(part, real, compute_mode=_EXACT) < reach  # (n, M)
        hits += int(inside.sum())
        met |= inside.any(dim=0)
    return hits / (nearest * len(drawn)), met.float().mean().item()


def measure_reach(points: Tensor, nearest: int, *, exact: bool = False) -> Tensor:
    """Distance of each of ``points`` (N, D) to the ``nearest``-th of the others: (N,).

    If ``exact``, the distance of two points is always the same to the last bit.

    Raises:
        ValueError: There are fewer others.
    """
    if len(points) <= nearest:
        raise ValueError(f"{len(points)} pictures have no neighbour number {nearest}")
    mode = _EXACT if exact else _FAST
    return torch.cat(
        [  # the first is the picture itself
            torch.cdist(part, points, compute_mode=mode).kthvalue(nearest + 1, dim=1).values
            for part in points.split(_CHUNK)
        ]
    )


def nearest_distances(points: Tensor, others: Tensor) -> Tensor:
    """Distance of each of ``points`` (N, D) to the nearest of ``others`` (M, D): (N,)."""
    return torch.cat([torch.cdist(part, others).min(dim=1).values for part in points.split(_CHUNK)])


def real_batches(images: np.ndarray, batch: int = 250) -> Iterator[Tensor]:
    """Yield images (N, H, W, 3) uint8 in order, (batch, 3, H, W) in [-1, 1] each."""
    for first in range(0, len(images), batch):
        yield to_model_range(images[first : first + batch])


def drawn_batches(
    generator: Generator, count: int, *, seed: int = 1, batch: int = 100
) -> Iterator[Tensor]:
    """Draw ``count`` pictures from z ~ N(0, I): (batch, 3, 64, 64) in [-1, 1] each, on the CPU."""
    device = next(generator.parameters()).device
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    for part in z.split(batch):
        with torch.inference_mode():
            images = generator(part.to(device)).cpu()
        yield images  # inference mode belongs to the thread, so it must not cross a yield


def generate_images(generator: Generator, count: int, *, seed: int = 1, batch: int = 100) -> Tensor:
    """Draw ``count`` pictures from z ~ N(0, I): (count, 3, 64, 64) in [-1, 1]."""
    return torch.cat(list(drawn_batches(generator, count, seed=seed, batch=batch)))
