"""One latent vector through two decoders, a VAE's and a GAN's. No Gradio here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from PIL import Image, ImageOps
from pydantic import Field

from shared.errors import InvalidRequest
from shared.requests import Request, Seed

if TYPE_CHECKING:
    import torch

    from shared.nets import VAE, Generator

# Directions that the page offers for each of the two models.
DIRECTIONS = 4
SMALLEST_SIDE = 8
MAX_PSNR_DB = 100.0  # stands for "equal", whose PSNR would be infinite

Offset = Annotated[float, Field(ge=-4.0, le=4.0)]
WalkPath = Literal["spherical", "linear"]


class LatentRequest(Request):
    """Which pair of models to ask, and how far from the average to draw z.

    Attributes:
        dataset: What both models were trained on.
        truncation: Factor on z. 1 draws z as in training, 0 is the same average picture for every
            seed, above 1 leaves what the models have practised. (BigGAN, Brock et al. 2019,
            redraws numbers beyond a threshold instead; it trades variety for safety likewise.)
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    truncation: float = Field(1.0, ge=0.0, le=2.0)


class PairRequest(LatentRequest):
    """One z for both models.

    Attributes:
        offsets: How far to move z along each of ``find_directions`` of the VAE, then of the GAN;
            those left out are 0.
    """

    offsets: tuple[Offset, ...] = Field((), max_length=2 * DIRECTIONS)


class WalkRequest(LatentRequest):
    """A walk from the z of ``seed`` to that of ``end_seed``.

    Attributes:
        end_seed: Where the walk ends; -1 draws one.
        frames: Pictures of each model, both ends included.
        path: ``spherical`` keeps the length of z, ``linear`` goes straight.
    """

    end_seed: Seed = -1
    frames: int = Field(24, ge=8, le=64)
    path: WalkPath = "spherical"

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check ``values`` and draw each seed that is -1. Raises InvalidRequest."""
        request = super().parse(**values)
        if request.end_seed == -1:
            request = request.model_copy(update={"end_seed": Request.parse().seed})
        return request


@dataclass(frozen=True)
class Pair:
    """What both models draw for the same z.

    Attributes:
        z: The latent vector, z_dim numbers.
        vae: The VAE's picture, RGB.
        gan: The GAN's picture, RGB.
    """

    z: tuple[float, ...]
    vae: Image.Image
    gan: Image.Image


@dataclass(frozen=True)
class WalkStep:
    """One frame of a walk; ``position`` runs from 0 to 1."""

    position: float
    pair: Pair


@dataclass(frozen=True)
class Reconstruction:
    """A picture squeezed through a VAE.

    Attributes:
        original: The picture as the VAE saw it, RGB at the model's size.
        picture: The same, decoded from ``mu``.
        mu: Where the encoder puts the picture, (z_dim,).
        logvar: Logarithm of how unsure it is about each number, (z_dim,).
        l1: Mean absolute difference of the colours, 0 to 1.
        psnr_db: Peak signal-to-noise ratio in decibels; higher is closer.
        edges: Strength of the edges that are left, as a share of the original's, up to 10.
    """

    original: Image.Image
    picture: Image.Image
    mu: np.ndarray
    logvar: np.ndarray
    l1: float
    psnr_db: float
    edges: float


def sample(vae: VAE, gan: Generator, request: PairRequest) -> Pair:
    """Draw z for ``request`` and let both models decode it."""
    z = draw_z(request.seed, gan.config.z_dim, request.truncation)
    if any(request.offsets):
        directions = np.concatenate(
            [find_directions(vae.decoder, DIRECTIONS), find_directions(gan, DIRECTIONS)]
        )
        for offset, direction in zip(request.offsets, directions, strict=False):
            z = z + offset * z.new_tensor(direction)
    return decode(vae, gan, z)


def generate_walk(
    vae: VAE, gan: Generator, request: WalkRequest, stop: Event
) -> Iterator[WalkStep]:
    """Yield ``request.frames`` pairs on the way between two seeds, or fewer after ``stop``."""
    start, end = (
        draw_z(seed, gan.config.z_dim, request.truncation)
        for seed in (request.seed, request.end_seed)
    )
    for frame in range(request.frames):
        if stop.is_set():
            return
        position = frame / (request.frames - 1)
        z = interpolate(start, end, position, request.path)
        yield WalkStep(position, decode(vae, gan, z))


def draw_z(seed: int, z_dim: int, truncation: float = 1.0) -> torch.Tensor:
    """Draw z ~ N(0, I) times ``truncation``: (z_dim,), on the CPU, so the same on every device."""
    import torch

    rng = torch.Generator("cpu").manual_seed(seed)
    return truncation * torch.randn(z_dim, generator=rng)


def decode(vae: VAE, gan: Generator, z: torch.Tensor) -> Pair:
    """Draw z (z_dim,) with both models."""
    import torch

    with torch.inference_mode():
        batch = z.unsqueeze(0).to(next(gan.parameters()))  # (1, z_dim)
        pictures = [_to_image(images[0]) for images in (vae.decode(batch), gan(batch))]
    return Pair(tuple(z.tolist()), *pictures)


def interpolate(
    start: torch.Tensor, end: torch.Tensor, position: float, path: WalkPath
) -> torch.Tensor:
    """Return the point at ``position`` (0 to 1) between two latent vectors; the ends are exact.

    A straight line between two draws from N(0, I) passes nearer to the origin than either, where
    training never went; a spherical one turns from one direction to the other instead (White
    2016, https://arxiv.org/abs/1609.04468).
    """
    if path == "spherical":
        lengths = start.norm() * end.norm()
        cosine = float(start @ end / lengths) if lengths > 0 else 1.0
        angle = math.acos(max(-1.0, min(1.0, cosine)))
        if math.sin(angle) > 1e-4:  # parallel vectors have no arc: a straight line serves
            weights = (math.sin(share * angle) for share in (1 - position, position))
            first, second = (weight / math.sin(angle) for weight in weights)
            return first * start + second * end
    return (1 - position) * start + position * end


def find_directions(generator: Generator, count: int) -> np.ndarray:
    """Find the directions of z that ``generator`` reacts to most: (count, z_dim), orthonormal.

    They are the eigenvectors of A^T A with the largest eigenvalues, where A holds the weights of
    the layer that reads z (SeFa, Shen and Zhou 2021, https://arxiv.org/abs/2007.06600). That
    looks at the weights alone, so it takes a millisecond and no pictures.
    """
    weights = generator.stem.weight.detach().float().cpu().numpy()  # (features, z_dim)
    _, vectors = np.linalg.eigh(weights.T @ weights)  # in ascending order
    directions = vectors[:, ::-1].T[:count]
    # The sign of an eigenvector is arbitrary: fix it, so that a slider always means the same.
    largest = np.abs(directions).argmax(axis=1)
    return directions * np.sign(np.take_along_axis(directions, largest[:, None], axis=1))


def count_parameters(module: torch.nn.Module) -> int:
    """Count the weights of ``module``."""
    return sum(parameter.numel() for parameter in module.parameters())


def reconstruct(vae: VAE, picture: Image.Image) -> Reconstruction:
    """Encode an RGB ``picture`` and decode the mean of what the encoder answers.

    Args:
        vae: The model.
        picture: RGB; any size, see ``read_picture``.
    """
    import torch

    size = vae.config.image_size
    original = ImageOps.fit(picture, (size, size), Image.Resampling.LANCZOS)
    weight = next(vae.parameters())
    images = torch.from_numpy(np.array(original)).permute(2, 0, 1)[None]  # (1, 3, H, W)
    with torch.inference_mode():
        images = images.to(weight) / 127.5 - 1
        mu, logvar = vae.encode(images)
        decoded = vae.decode(mu)
    difference = (decoded - images).float() / 2  # of colours in 0 to 1
    error = float(difference.square().mean())
    return Reconstruction(
        original=original,
        picture=_to_image(decoded[0]),
        mu=mu[0].float().cpu().numpy(),
        logvar=logvar[0].float().cpu().numpy(),
        l1=float(difference.abs().mean()),
        psnr_db=min(MAX_PSNR_DB, -10 * math.log10(error)) if error else MAX_PSNR_DB,
        edges=min(10.0, _edge_strength(decoded) / max(_edge_strength(images), 1e-6)),
    )


def read_picture(path: str | Path) -> Image.Image:
    """Open a visitor's picture as RGB: upright, on white, and of an animation the first frame.

    Raises:
        InvalidRequest: No picture, damaged, too small, or larger than Pillow deems safe.
    """
    try:
        with Image.open(path) as image:
            if image.width * image.height > (Image.MAX_IMAGE_PIXELS or math.inf):
                raise Image.DecompressionBombError
            if min(image.size) < SMALLEST_SIDE:
                raise InvalidRequest(
                    f"This picture is too small: {image.width} × {image.height} pixels. "
                    f"Each side needs at least {SMALLEST_SIDE}."
                )
            ImageOps.exif_transpose(image, in_place=True)
            return _to_rgb(image)
    except InvalidRequest:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InvalidRequest(
            "This picture is too large: it has more than "
            f"{(Image.MAX_IMAGE_PIXELS or 0) / 1e6:.0f} million pixels. Make it smaller first."
        ) from None
    except Exception as error:  # Pillow's decoders raise a dozen types for a bad file
        raise InvalidRequest(
            "This file cannot be read as a picture. Try a PNG, JPEG, WebP or GIF file."
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    """Convert any mode to RGB; what is transparent becomes white."""
    if image.mode.startswith(("I", "F")):  # 16 bits a pixel and more, which convert() would clip
        values = np.asarray(image, dtype=np.float32)
        peak = 65535 if image.mode.startswith("I") else max(float(values.max()), 1.0)
        return Image.fromarray((values / peak * 255).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _to_image(image: torch.Tensor) -> Image.Image:
    """(3, H, W) in [-1, 1] to a picture."""
    pixels = (image.float().clamp(-1, 1) + 1) * 127.5
    return Image.fromarray(pixels.round().byte().permute(1, 2, 0).cpu().numpy())


def _edge_strength(images: torch.Tensor) -> float:
    """Mean absolute difference of neighbouring pixels of (B, C, H, W)."""
    across, down = images.diff(dim=-1), images.diff(dim=-2)
    return float(across.abs().mean() + down.abs().mean())
