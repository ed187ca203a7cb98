"""Batches and measures that the VAE's and the GAN's training share.

The usual Frechet inception distance needs a pretrained network. This one compares simple
statistics instead, so its values are comparable with each other and with nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.nets import Generator


def to_model_range(images: np.ndarray) -> Tensor:
    """(N, H, W, 3) uint8 to (N, 3, H, W) float32 in [-1, 1], channels last in memory."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def sample_batches(
    images: np.ndarray, batch: int, device: torch.device, *, seed: int
) -> Iterator[Tensor]:
    """Yield ``batch`` pictures in [-1, 1] for ever, reshuffled for every pass over ``images``."""
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


@torch.inference_mode()
def generate_images(generator: Generator, count: int, *, seed: int = 1, batch: int = 100) -> Tensor:
    """Draw ``count`` pictures from z ~ N(0, I): (count, 3, 64, 64) in [-1, 1]."""
    device = next(generator.parameters()).device
    z = torch.randn(count, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    return torch.cat([generator(part.to(device)).cpu() for part in z.split(batch)])
