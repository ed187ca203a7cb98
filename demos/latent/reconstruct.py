"""Encodes and decodes a visitor's picture with a VAE. No Gradio here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from demos.latent.generate import to_image
from shared.errors import InvalidRequest
from shared.uploads import read_data_url

if TYPE_CHECKING:
    import torch

    from shared.nets import VAE

MAX_PSNR_DB = 100.0  # for equal pictures, whose PSNR is infinite
# (count, seed) of the training set and of the test set.
TRAINED_ON, HELD_OUT = (50_000, 0), (10_000, 1)


@dataclass(frozen=True)
class Closeness:
    """How near one picture is to another.

    Attributes:
        l1: Mean absolute difference of the colours, 0 to 1.
        psnr_db: Peak signal-to-noise ratio in decibels, at most 100; higher is closer.
        edges: Strength of the edges as a share of the original's, up to 10.
    """

    l1: float
    psnr_db: float
    edges: float


@dataclass(frozen=True)
class Reconstruction:
    """A picture encoded and decoded by a VAE.

    Attributes:
        original: The picture as the VAE saw it, RGB at the model's size.
        picture: The same, decoded from ``mu``.
        mu: Mean of the encoder's Gaussian, (z_dim,).
        logvar: Logarithm of its variance, (z_dim,).
        closeness: How near ``picture`` is to ``original``.
    """

    original: Image.Image
    picture: Image.Image
    mu: np.ndarray
    logvar: np.ndarray
    closeness: Closeness

    @property
    def sigma(self) -> np.ndarray:
        """Standard deviation of each number, (z_dim,); 1 is that of the prior."""
        return np.exp(0.5 * self.logvar)

    @property
    def kl(self) -> np.ndarray:
        """Information in each number, in nats: its KL divergence from N(0, 1)."""
        return 0.5 * (self.mu**2 + np.exp(self.logvar) - 1 - self.logvar)


def reconstruct(vae: VAE, picture: Image.Image) -> Reconstruction:
    """Encode an RGB ``picture`` and decode the mean.

    Args:
        vae: The model.
        picture: RGB; any size, as ``shared.uploads.read_picture`` makes it.
    """
    import torch

    original = fit(picture, vae.config.image_size)
    with torch.inference_mode():
        images = to_tensor(original).to(next(vae.parameters()))
        mu, logvar = vae.encode(images)
        decoded = vae.decode(mu)
    return Reconstruction(
        original=original,
        picture=to_image(decoded[0]),
        mu=mu[0].float().cpu().numpy(),
        logvar=logvar[0].float().cpu().numpy(),
        closeness=compare(decoded, images),
    )


def compare(images: torch.Tensor, original: torch.Tensor) -> Closeness:
    """Measure how near images (B, 3, H, W) in [-1, 1] are to an original of the same shape."""
    difference = (images - original).float() / 2  # of colours in 0 to 1
    error = float(difference.square().mean())
    return Closeness(
        l1=float(difference.abs().mean()),
        psnr_db=min(MAX_PSNR_DB, -10 * math.log10(error)) if error else MAX_PSNR_DB,
        edges=min(10.0, _edge_strength(images) / max(_edge_strength(original), 1e-6)),
    )


def fit(picture: Image.Image, size: int) -> Image.Image:
    """Crop an RGB ``picture`` to its centre square and scale it to ``size`` x ``size`` pixels."""
    return ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)


def to_tensor(picture: Image.Image) -> torch.Tensor:
    """Convert an RGB picture to (1, 3, H, W) float32 in [-1, 1]."""
    import torch

    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1


def read_drawing(url: str) -> Image.Image:
    """Read a drawing from the page, sent as the data URL of a PNG.

    Raises:
        InvalidRequest: It is no such URL, or the drawing is empty.
    """
    picture = read_data_url(url)
    if not np.ptp(np.asarray(picture), axis=(0, 1)).any():
        raise InvalidRequest("The drawing has one colour only. Draw something first.")
    return picture


def draw_real_critters(seed: int, count: int) -> list[tuple[Image.Image, str]]:
    """Draw ``count`` different critters of the test set: (picture, description)."""
    from shared.critters.attributes import VALUES, render_critter

    rows = _held_out_rows()
    chosen = np.random.default_rng(seed).choice(len(rows), count, replace=False)
    critters = []
    for row in rows[chosen]:
        words = {name: VALUES[name][value] for name, value in zip(VALUES, row, strict=True)}
        title = (
            f"{words['color']} and {words['body']}, {words['eyes']}, {words['mouth']}, "
            f"{words['top']} on top, {words['background']} background"
        )
        critters.append((Image.fromarray(render_critter(words)), title.capitalize()))
    return critters


@cache
def _held_out_rows() -> np.ndarray:
    """Return the attributes of the test set without rows that are in the training set: (N, 7)."""
    from shared.critters.attributes import VALUES, sample_attributes

    def draw(count: int, seed: int) -> np.ndarray:
        columns = sample_attributes(count, seed=seed)
        # Without a top, the accent is invisible: critters that differ in it only are equal.
        columns["accent"][columns["top"] == VALUES["top"].index("nothing")] = 0
        return np.stack([columns[name] for name in VALUES], axis=1)

    seen = {tuple(row) for row in draw(*TRAINED_ON)}
    return np.array([row for row in draw(*HELD_OUT) if tuple(row) not in seen])


def _edge_strength(images: torch.Tensor) -> float:
    """Mean absolute difference of neighbouring pixels of (B, C, H, W)."""
    across, down = images.diff(dim=-1), images.diff(dim=-2)
    return float(across.abs().mean() + down.abs().mean())
