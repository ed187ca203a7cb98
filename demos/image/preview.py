"""Previews that cost next to nothing: pictures as a linear map of latents. No Gradio here.

A decoder needs as long as a step or more. But what it does is nearly linear: each place of the
latents says what colours are there. So a matrix is fitted, once for each decoder, by least squares
on a few pictures that go through the autoencoder, and previews are one product of matrices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    import torch

PREVIEW_SIDE = 128  # pixels, at most; smaller where the model's pictures are
_PICTURES = 12  # to fit on
_PLACES = 8  # latents a side of each of them


@dataclass(frozen=True)
class LinearDecoder:
    """Turns latents into pictures.

    Attributes:
        weights: (C + 1, scale * scale * 3): a place's latents and 1 -> its patch of pixels, 0 to 1.
        scale: Pixels a side of a place.
    """

    weights: np.ndarray
    scale: int

    def decode(self, latents: np.ndarray) -> list[Image.Image]:
        """Decode (B, C, H, W), scaled as the denoiser has them."""
        batch, channels, height, width = latents.shape
        small = self.shrink(max(height, width))
        places = latents.transpose(0, 2, 3, 1).reshape(-1, channels)
        patches = places @ small.weights[:-1] + small.weights[-1]
        pixels = patches.reshape(batch, height, width, small.scale, small.scale, 3)
        pixels = pixels.transpose(0, 1, 3, 2, 4, 5)
        pixels = pixels.reshape(batch, height * small.scale, width * small.scale, 3)
        return [Image.fromarray((one.clip(0, 1) * 255).astype(np.uint8)) for one in pixels]

    def shrink(self, places: int) -> LinearDecoder:
        """Return one whose pictures of ``places`` a side have at most ``PREVIEW_SIDE`` pixels."""
        scale = max(1, min(self.scale, PREVIEW_SIDE // places))
        inner = self.scale // scale  # pixels that become one
        if inner == 1:
            return self
        patch = self.weights.reshape(-1, self.scale, self.scale, 3)
        patch = patch[:, : inner * scale, : inner * scale]
        patch = patch.reshape(len(patch), scale, inner, scale, inner, 3).mean(axis=(2, 4))
        return LinearDecoder(patch.reshape(len(patch), -1), scale)


_fitted: WeakKeyDictionary[Any, LinearDecoder] = WeakKeyDictionary()


def fit_linear_decoder(pipeline: Any) -> LinearDecoder:
    """Return the linear approximation of the decoder of ``pipeline``, fitted on first use."""
    vae = pipeline.vae
    if vae not in _fitted:
        import torch

        scale = pipeline.vae_scale_factor
        pictures = _draw_pictures(_PLACES * scale)
        with torch.inference_mode():
            pixels = (
                torch.from_numpy(pictures * 2 - 1).permute(0, 3, 1, 2).to(vae.device, vae.dtype)
            )
            decoded = vae.decode(encode(vae, pixels), return_dict=False)[0]
            latents = from_vae(vae, encode(vae, pixels))
        _fitted[vae] = _fit(latents.float().cpu().numpy(), to_unit(decoded), scale)
    return _fitted[vae]


def encode(vae: Any, pixels: torch.Tensor) -> torch.Tensor:
    """Encode (B, 3, H, W) in [-1, 1] with any autoencoder of diffusers, without its noise."""
    answer = vae.encode(pixels)
    if hasattr(answer, "latent_dist"):
        return answer.latent_dist.mode()
    return answer.latents if hasattr(answer, "latents") else answer.latent


def from_vae(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Scale latents of the autoencoder as the denoiser has them."""
    return (latents - (vae.config.get("shift_factor") or 0)) * vae.config.scaling_factor


def to_vae(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    """Scale latents of the denoiser as the autoencoder has them."""
    return latents / vae.config.scaling_factor + (vae.config.get("shift_factor") or 0)


def to_unit(pixels: torch.Tensor) -> np.ndarray:
    """Turn (B, 3, H, W) in [-1, 1] into (B, H, W, 3) from 0 to 1."""
    return (pixels.float().clamp(-1, 1) / 2 + 0.5).permute(0, 2, 3, 1).cpu().numpy()


def _fit(latents: np.ndarray, pictures: np.ndarray, scale: int) -> LinearDecoder:
    count, channels, height, width = latents.shape
    places = latents.transpose(0, 2, 3, 1).reshape(-1, channels)
    places = np.concatenate([places, np.ones((len(places), 1), places.dtype)], axis=1)
    patches = pictures.reshape(count, height, scale, width, scale, 3)
    patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(len(places), -1)
    # A little ridge: there are not many more places than channels.
    ridge = 1e-2 * len(places) * np.eye(channels + 1) / (channels + 1)
    weights = np.linalg.solve(places.T @ places + ridge, places.T @ patches)
    return LinearDecoder(weights.astype(np.float32), scale)


def _draw_pictures(side: int) -> np.ndarray:
    """Draw coloured discs and boxes on coloured grounds: (N, side, side, 3) float32, 0 to 1."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    pictures = np.ones((_PICTURES, side, side, 3), dtype=np.float32)
    for picture in pictures:
        picture *= rng.random(3)
        for number in range(12):
            cy, cx, size = rng.random(), rng.random(), 0.05 + 0.3 * rng.random()
            far = np.maximum(abs(y - cy), abs(x - cx)) if number % 2 else np.hypot(y - cy, x - cx)
            picture[far < size] = rng.random(3)
    return pictures
