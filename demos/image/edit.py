"""From picture to picture: change all of it, or replace a part. No Gradio here."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from pydantic import Field, ValidationInfo, field_validator

from demos.image.generate import DiffusionRequest, ImageStep, borrow_pipeline, run_pipeline
from demos.image.noise import CLEAN, OWN, is_flow, mix_at
from demos.image.preview import encode, from_vae
from shared.errors import InvalidRequest

if TYPE_CHECKING:
    import torch


class EditRequest(DiffusionRequest):
    """How to change a picture, which comes separately.

    Attributes:
        strength: How much noise to start from: 0 leaves the picture, 1 covers it completely. Of the
            steps, this share is taken; it must be one at least (SDEdit, Meng et al. 2022,
            arXiv:2108.01073).
    """

    strength: float = Field(0.6, ge=0.0, le=1.0, validate_default=True)

    @field_validator("strength")
    @classmethod
    def _takes_a_step(cls, strength: float, info: ValidationInfo) -> float:
        steps = info.data.get("num_inference_steps")  # missing if it is itself out of range
        if steps and int(steps * strength) < 1:
            least, some = math.ceil(100 / steps) / 100, "step" if steps == 1 else "steps"
            raise ValueError(
                f"must be at least {least:g} with {steps} {some}, or there is no step to take. "
                "Raise it, or take more steps"
            )
        return strength


@dataclass(frozen=True)
class Edit:
    """All that one change needs, in one piece that can be sent to where the model is.

    Attributes:
        request: How to change it.
        picture: What to change, RGB.
        mask: Where, as ``edit_image`` takes it.
    """

    request: EditRequest
    picture: Image.Image
    mask: Image.Image | None = None


def edit_image(
    pipeline: Any,
    request: EditRequest,
    picture: Image.Image,
    stop: Event,
    mask: Image.Image | None = None,
) -> Iterator[ImageStep]:
    """Yield after every denoising step and, with the changed picture, at the end.

    The image-to-image pipeline of diffusers that belongs to ``pipeline`` draws. Same seed and
    picture, same result.

    Args:
        pipeline: A text-to-image pipeline of diffusers. It is not changed; two calls may share it.
        request: What to make of the picture; its seed must be drawn.
        picture: RGB of any size; its middle is fitted to the model's own size.
        stop: Ends the drawing within a step; no picture comes then.
        mask: Of the picture's size, bright where a part is to be replaced. Pixels elsewhere stay
            exactly as ``fit_picture`` made them. None changes the whole picture.

    Raises:
        InvalidRequest: Nothing is marked, or the model cannot start from a picture.
        Exception: Whatever the pipeline raises.
    """
    own = build_editor(pipeline, request.scheduler)
    size = find_own_size(own)
    given = fit_picture(picture, size)
    part = fit_mask(mask, size) if mask else None
    if part:
        _keep_rest(own, given, part)
    changing = run_pipeline(
        own, request, stop, seeds=[request.seed], image=given, strength=request.strength
    )
    for step in changing:
        if part and step.images and not any(step.withheld):
            # The autoencoder alone would change every pixel a little.
            step = replace(step, images=(Image.composite(step.images[0], given, part),))
        yield step


@dataclass(frozen=True)
class EditStep:
    """A step of a change: the visitor's picture as the model got it, and the drawing."""

    before: Image.Image
    drawing: ImageStep


def generate_edit(pipeline: Any, edit: Edit, stop: Event) -> Iterator[EditStep]:
    """Yield the steps of ``edit_image``, each with the picture that it began with."""
    before = fit_picture(edit.picture, find_own_size(pipeline))
    for step in edit_image(pipeline, edit.request, edit.picture, stop, edit.mask):
        yield EditStep(before, step)


def build_editor(pipeline: Any, scheduler: str = OWN) -> Any:
    """Return the image-to-image pipeline on the networks of ``pipeline``, for one call.

    Raises:
        InvalidRequest: Diffusers has none for this model, or the scheduler does not suit.
    """
    from diffusers import AutoPipelineForImage2Image

    own = borrow_pipeline(pipeline, scheduler)
    try:
        editor = AutoPipelineForImage2Image.from_pipe(own)
    except ValueError as error:  # there is no such class
        raise InvalidRequest(
            "This model draws from words only and cannot start from a picture. Choose another one."
        ) from error
    editor.set_progress_bar_config(disable=True)  # the constructor forgets it
    if is_flow(own.scheduler) and not hasattr(own.scheduler, "scale_noise"):
        # Schedulers that were not made for flows call the same thing by another name.
        own.scheduler.scale_noise = lambda clean, time, noise: own.scheduler.add_noise(
            clean, noise, time
        )
    return editor


def find_own_size(pipeline: Any) -> tuple[int, int]:
    """Return width and height of the pictures, in pixels, that a pipeline was trained on."""
    denoiser = getattr(pipeline, "unet", None) or pipeline.transformer
    side = denoiser.config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    return width * pipeline.vae_scale_factor, height * pipeline.vae_scale_factor


def fit_picture(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut out the middle of ``picture`` and scale it to ``size``; a whole factor blurs no pixels.

    A small picture that somebody enlarged by a whole number comes out as it was.
    """
    middle = _cut_middle(picture, size)
    factor = middle.width / size[0]
    if factor.is_integer():
        method = Image.Resampling.BOX
    elif (1 / factor).is_integer():
        method = Image.Resampling.NEAREST
    else:
        method = Image.Resampling.LANCZOS
    return middle.resize(size, method)


def fit_mask(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut and scale a mask like its picture: "L", 255 where half of a pixel is marked, else 0.

    Raises:
        InvalidRequest: Nothing is marked.
    """
    fitted = _cut_middle(mask.convert("L"), size).resize(size, Image.Resampling.BOX)
    part = fitted.point(lambda value: 255 * (value >= 128))
    if not part.getbbox():
        raise InvalidRequest("Nothing is marked. Paint over the part to replace first.")
    return part


def _cut_middle(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Cut the largest middle of the proportions of ``size`` out of a picture."""
    factor = min(picture.width / size[0], picture.height / size[1])
    width, height = (max(1, round(side * factor)) for side in size)
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))


def _keep_rest(own: Any, given: Image.Image, part: Image.Image) -> None:
    """Make the scheduler of ``own`` put back, after each step, what is not to be replaced.

    Blended Latent Diffusion (Avrahami et al. 2022, arXiv:2206.02779): the original's latents, with
    as much noise as there is after that step, take the place of what the model made of them. So
    what it draws grows into what is around it. That needs no model trained for it, and works with
    every scheduler and any number of latent channels.
    """
    scheduler, take_step = own.scheduler, own.scheduler.step
    clean, free = _encode(own.vae, given), _to_places(part, own.vae_scale_factor)
    noise: torch.Tensor | None = None
    index = 0

    @functools.wraps(take_step)  # pipelines look at its signature
    def step(output: Any, timestep: Any, latents: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal noise, index, clean, free
        made, *rest = take_step(output, timestep, latents, *args, **kwargs)
        if latents.ndim != 4:  # not laid out as a picture: pasting pixels in the end must do
            return made, *rest
        if noise is None:  # what the pipeline added to the picture itself
            clean, free = clean.to(latents), free.to(latents)
            index = int((scheduler.timesteps == timestep).nonzero()[0])
            mix = mix_at(scheduler, timestep, index)
            noise = (latents - mix.picture * clean) / mix.noise
        index += 1
        left = index < len(scheduler.timesteps)
        mix = mix_at(scheduler, scheduler.timesteps[index], index) if left else CLEAN
        kept = mix.picture * clean + mix.noise * noise
        return made * free + kept * (1 - free), *rest

    scheduler.step = step


def _encode(vae: Any, picture: Image.Image) -> torch.Tensor:
    """Encode an RGB picture: (1, C, h, w), scaled as the denoiser has latents."""
    import torch

    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        return from_vae(vae, encode(vae, pixels.to(vae.device, vae.dtype)))


def _to_places(part: Image.Image, scale: int) -> torch.Tensor:
    """Scale a mask down to latents, (1, 1, h, w): 1 where any pixel of a place is marked."""
    import torch

    marked = torch.from_numpy(np.array(part))[None, None].float() / 255
    return torch.nn.functional.max_pool2d(marked, scale)
