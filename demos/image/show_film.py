"""The film of a drawing: every step as the page shows it. No Gradio here.

The page (browser/film.js) keeps what it is given, decodes latents roughly itself, with a matrix,
and asks for the exact pictures of a step where somebody looks longer. What it is given is a JSON
object, either a whole film,

    {"run": "name", "seeds": [7, 8], "shape": [C, H, W], "decoder": {"scale": s, "weights": W},
     "frames": [{"noisy": L, "clean": L, "noise": 0.98, "time": 873}, ..., {..., "exact": {...}}]}

where L are the latents (B, C, H, W) and W the matrix (C + 1, s * s * 3), float32 in base64, or an
answer to what it asked for,

    {"run": "name", "frame": 3, "exact": {"noisy": [data URL, ...], "clean": [...]}}

with one picture for each seed. The last frame of a film has its exact pictures from the beginning.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from demos.image.generate import Film, Frame
from demos.image.show import to_data_url

MOST_PLACES = 32  # of latents larger than that, only every n-th in both directions is sent


def make_film(
    run: str, film: Film, seeds: Sequence[int], end: Sequence[Image.Image] = ()
) -> dict[str, Any]:
    """Turn a film into what the page shows.

    Args:
        run: A name that no other drawing has.
        film: Of the drawing.
        seeds: Of its pictures.
        end: The finished pictures: the last frame shows them as they are.
    """
    if not film.frames or not film.decoder:
        return {"run": run, "seeds": [], "frames": []}
    every = -(-max(film.frames[0].latents.shape[-2:]) // MOST_PLACES)
    frames = [_make_frame(frame, every) for frame in film.frames]
    kept, *shape = film.frames[0].latents[..., ::every, ::every].shape
    if end:
        frames[-1]["exact"] = _show_exact(end[:kept], end[:kept])
    weights = film.decoder.shrink(max(shape[1:])).weights
    scale = round((weights.shape[1] / 3) ** 0.5)
    return {
        "run": run,
        "seeds": list(seeds[:kept]),
        "shape": shape,
        "decoder": {"scale": scale, "weights": _pack(weights)},
        "frames": frames,
    }


def answer_frame(
    run: str, index: int, noisy: Sequence[Image.Image], clean: Sequence[Image.Image]
) -> dict[str, Any]:
    """Hand the exactly decoded pictures of a frame to the page."""
    return {"run": run, "frame": index, "exact": _show_exact(noisy, clean)}


def _make_frame(frame: Frame, every: int) -> dict[str, Any]:
    return {
        "noisy": _pack(frame.latents[..., ::every, ::every]),
        "clean": _pack(frame.clean[..., ::every, ::every]),
        "noise": round(frame.noise, 4),
        "time": round(frame.timestep),
    }


def _show_exact(noisy: Sequence[Image.Image], clean: Sequence[Image.Image]) -> dict[str, list[str]]:
    return {
        "noisy": [to_data_url(picture) for picture in noisy],
        "clean": [to_data_url(picture) for picture in clean],
    }


def _pack(numbers: np.ndarray) -> str:
    return base64.b64encode(numbers.astype("<f4").tobytes()).decode()
