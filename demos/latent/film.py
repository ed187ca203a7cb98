"""Films of a walk: both models' pictures side by side, as GIF and as MP4. No Gradio here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

import shared.film
from demos.latent.walk import WalkStep

FRAMES_PER_SECOND = 20
GIF_EVERY = 2  # only every second frame is in the GIF, which compresses far worse
REST_SECONDS = 0.4  # pause at each seed
GIF_SIDE, MP4_SIDE = 256, 512  # width and height of each model's picture in pixels


def save_gif(
    steps: Sequence[WalkStep], path: Path, recipe: Mapping[str, Any], *, side: int = GIF_SIDE
) -> None:
    """Write a looping animation that pauses at every seed, with ``recipe`` in its comment."""
    kept = steps[::GIF_EVERY]  # includes every seed: their distance in frames is even
    seconds = [_shown(step, GIF_EVERY / FRAMES_PER_SECOND) for step in kept]
    shared.film.save_gif(_join_all(kept), path, recipe, seconds=seconds, height=side)


def save_mp4(
    steps: Sequence[WalkStep], path: Path, recipe: Mapping[str, Any], *, side: int = MP4_SIDE
) -> None:
    """Write the same film as MP4, which every browser plays."""
    shared.film.save_mp4(
        _join_all(steps),
        path,
        recipe,
        seconds=[_shown(step, 1 / FRAMES_PER_SECOND) for step in steps],
        height=side,
        frames_per_second=FRAMES_PER_SECOND,
    )


def _shown(step: WalkStep, seconds: float) -> float:
    """Return how long to show ``step``: ``seconds``, or longer at a seed."""
    return seconds if step.seed is None else REST_SECONDS


def _join_all(steps: Sequence[WalkStep]) -> list[Image.Image]:
    return [_join(step) for step in steps]


def _join(step: WalkStep) -> Image.Image:
    """Put the VAE's picture to the left of the GAN's."""
    vae, gan = step.pair.vae, step.pair.gan
    frame = Image.new("RGB", (vae.width + gan.width, vae.height))
    frame.paste(vae, (0, 0))
    frame.paste(gan, (vae.width, 0))
    return frame
