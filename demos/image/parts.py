"""What a model makes of pictures: its autoencoder and its denoiser, each alone. No Gradio here.

The autoencoder of any pipeline of diffusers will do; the denoiser's must be of the Stable Diffusion
type.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps
from pydantic import ConfigDict, Field

from demos.image.generate import Prompt, borrow_pipeline
from demos.image.noise import Mix, make_scheduler, mix_at, predict_clean
from demos.image.preview import encode, from_vae, to_unit, to_vae
from shared.errors import InvalidRequest
from shared.requests import Request

if TYPE_CHECKING:
    import torch

MAX_FACTOR = 3.0


class PictureRequest(Request):
    """A picture for the autoencoder.

    Attributes:
        picture: RGB, of any size; it is cut to a square. None takes the critter of ``seed``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    picture: Image.Image | None = Field(None, repr=False)


class AutoencoderRequest(PictureRequest):
    """What to change between encoding and decoding.

    Attributes:
        channel: Which of the latents' channels, from 0; one that the model lacks changes nothing.
        factor: What its numbers are multiplied by.
    """

    channel: int = Field(0, ge=0, le=4096)
    factor: float = Field(0.0, ge=-MAX_FACTOR, le=MAX_FACTOR)


class DenoiserRequest(PictureRequest):
    """One look of the denoiser at a picture under noise.

    Attributes:
        prompt: The words that it gets.
        noise: Share of noise, 0 to 1, by amplitude.
        guidance_scale: How far to go from the answer without words through the one with them (Ho
            and Salimans 2022, arXiv:2207.12598).
        seed: Of the noise, and of the critter where no picture is given.
    """

    prompt: Prompt = ""
    noise: float = Field(0.8, ge=0.0, le=1.0)
    guidance_scale: float = Field(3.0, ge=0.0, le=15.0)


@dataclass(frozen=True)
class Autoencoded:
    """A picture, its latents, and what is decoded from them.

    Attributes:
        original: The square picture that was encoded.
        latents: (C, h, w) float32, scaled as the denoiser has them.
        decoded: From the latents as they are.
        changed: From latents in which one channel was multiplied.
        channel: Which one, from 0; None if the model has no such channel.
    """

    original: Image.Image
    latents: np.ndarray
    decoded: Image.Image
    changed: Image.Image
    channel: int | None


@dataclass(frozen=True)
class Denoised:
    """What the denoiser believes to see in one noisy picture.

    Attributes:
        original: The picture under the noise.
        noisy: What the denoiser looked at, decoded.
        latents: The same as (C, h, w) float32.
        plain: The clean picture that it believes in without words.
        worded: With the words.
        guided: Pushed further that way.
        difference: (h, w) float32: how far the words moved its belief at each place.
        noise: Share of noise that there was, 0 to 1.
        nearest: The share that the denoiser is given: the nearest that it was trained on.
        timestep: The model's own name for that.
    """

    original: Image.Image
    noisy: Image.Image
    latents: np.ndarray
    plain: Image.Image
    worded: Image.Image
    guided: Image.Image
    difference: np.ndarray
    noise: float
    nearest: float
    timestep: int


def autoencode(pipeline: Any, request: AutoencoderRequest) -> Autoencoded:
    """Encode a picture, and decode it again as it is and with one channel multiplied."""
    import torch

    original = _fit(pipeline, request)
    with torch.inference_mode():
        latents = _encode(pipeline, original)
        changed = latents.clone()
        channel = request.channel if request.channel < latents.shape[1] else None
        if channel is not None:
            changed[:, channel] *= request.factor
        decoded, altered = (_decode(pipeline, one) for one in (latents, changed))
    return Autoencoded(original, _to_array(latents)[0], decoded, altered, channel)


def denoise_once(pipeline: Any, request: DenoiserRequest) -> Denoised:
    """Put noise on a picture's latents and ask the denoiser once what is under it.

    Raises:
        InvalidRequest: The model is not of the Stable Diffusion type.
    """
    import torch

    unet = getattr(pipeline, "unet", None)
    if unet is None or unet.config.get("addition_embed_type") not in (None, "text"):
        raise InvalidRequest(
            "One step alone can be shown for Critters and for models of the Stable Diffusion type; "
            "this one is built differently."
        )
    own = borrow_pipeline(pipeline)
    scheduler = make_scheduler(pipeline, "ddim")
    shares = (1 - scheduler.alphas_cumprod).sqrt()
    timestep = int((shares - request.noise).abs().argmin())
    nearest = mix_at(scheduler, timestep, 0)
    mix = Mix((1 - request.noise**2) ** 0.5, request.noise)
    original = _fit(own, request)
    rng = torch.Generator("cpu").manual_seed(request.seed)
    with torch.inference_mode():
        latents = _encode(own, original).to(unet.dtype)
        noise = torch.randn(latents.shape, generator=rng).to(latents)
        noisy = mix.picture * latents + mix.noise * noise
        words = [own.encode_prompt(text, unet.device, 1, False)[0] for text in ("", request.prompt)]
        plain, worded = unet(
            noisy.repeat(2, 1, 1, 1), timestep, encoder_hidden_states=torch.cat(words)
        ).sample.chunk(2)
        guided = plain + request.guidance_scale * (worded - plain)
        beliefs = [
            predict_clean(scheduler, output, noisy, nearest) for output in (plain, worded, guided)
        ]
        looked, *believed = (_decode(own, one) for one in (noisy, *beliefs))
        moved = (beliefs[1] - beliefs[0]).float().pow(2).mean(dim=1).sqrt()
    return Denoised(
        original=original,
        noisy=looked,
        latents=_to_array(noisy)[0],
        plain=believed[0],
        worded=believed[1],
        guided=believed[2],
        difference=_to_array(moved)[0],
        noise=request.noise,
        nearest=nearest.share,
        timestep=timestep,
    )


def draw_critter(seed: int, side: int = 64) -> tuple[Image.Image, str]:
    """Draw a real critter, by rule and not by a network, and describe it."""
    from shared.critters.attributes import CRITTERS
    from shared.critters.captions import write_caption

    rng = random.Random(seed)
    words = {name: rng.choice(values) for name, values in CRITTERS.values.items()}
    caption = write_caption(words, rng, CRITTERS.grammar, clear=True)
    return Image.fromarray(CRITTERS.render(words, side)), caption.text


def find_side(pipeline: Any) -> int:
    """Return how many pixels a side the model's own pictures have."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    return int(denoiser.config.sample_size * pipeline.vae_scale_factor)


def measure_psnr(one: Image.Image, other: Image.Image) -> float:
    """Return how close two RGB pictures of one size are, in dB; infinite if they are the same."""
    pixels = [np.asarray(picture, dtype=np.float32) / 255 for picture in (one, other)]
    error = float(np.mean((pixels[0] - pixels[1]) ** 2))
    return float("inf") if error == 0 else -10 * float(np.log10(error))


def _fit(pipeline: Any, request: PictureRequest) -> Image.Image:
    side = find_side(pipeline)
    if request.picture is None:
        return draw_critter(request.seed, side)[0]
    return ImageOps.fit(request.picture.convert("RGB"), (side, side), Image.Resampling.LANCZOS)


def _encode(pipeline: Any, picture: Image.Image) -> torch.Tensor:
    import torch

    pixels = torch.from_numpy(np.array(picture, dtype=np.float32) / 127.5 - 1)
    pixels = pixels.permute(2, 0, 1)[None].to(pipeline.vae.device, pipeline.vae.dtype)
    return from_vae(pipeline.vae, encode(pipeline.vae, pixels))


def _decode(pipeline: Any, latents: torch.Tensor) -> Image.Image:
    vae = pipeline.vae
    pixels = vae.decode(to_vae(vae, latents.to(vae.dtype)), return_dict=False)[0]
    return Image.fromarray((to_unit(pixels)[0] * 255).round().astype(np.uint8))


def _to_array(values: torch.Tensor) -> np.ndarray:
    array: np.ndarray = values.detach().float().cpu().numpy()
    return array
