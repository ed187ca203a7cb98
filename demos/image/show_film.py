"""The film of a drawing: every step as the page shows it. No Gradio here.

The page (browser/film.js) keeps what it is given, decodes latents roughly itself, with a matrix,
and asks for the exact pictures where somebody looks: of all steps if they are small, else of the
step where the slider rests. What it is given is a JSON object, either a whole film,

    {"run": "name", "seeds": [7, 8], "shape": [C, H, W], "decoder": {"scale": s, "weights": W},
     "frames": [{"noisy": L, "clean": L, "noise": 0.98, "time": 873}, ..., {..., "exact": {...}}]}

where L are the latents (B, C, H, W) and W the matrix (C + 1, s * s * 3), float32 in base64; or
answers to what it asked for,

    {"run": "name", "exact": {"3": {"noisy": [data URL, ...], "clean": [...]}, ...}}

with one picture for each seed; or why there is no film, {"note": "..."}. The last frame of a film
has its exact pictures from the beginning.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from PIL import Image

from demos.image.generate import SMALL_PLACES, Film, Frame
from shared.data_urls import to_data_url

MOST_PLACES = 32  # of latents larger than that, only every n-th in both directions is sent


class Decode(Protocol):
    """Decodes a frame exactly, as ``generate.decode_frame`` does with its pipeline."""

    def __call__(self, frame: Frame, *, clean: bool) -> Sequence[Image.Image]:
        """Return its pictures."""


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


def answer_frames(run: str, film: Film, wanted: Sequence[int], decode: Decode) -> dict[str, Any]:
    """Hand the exactly decoded pictures of the ``wanted`` frames to the page.

    ``decode`` turns a frame, and whether its belief is meant, into pictures.
    """
    frames = [(index, film.frames[index]) for index in wanted]
    return {
        "run": run,
        "exact": {
            index: _show_exact(decode(frame, clean=False), decode(frame, clean=True))
            for index, frame in frames
        },
    }


def may_decode_all(film: Film) -> bool:
    """Whether all its frames together are decoded in about the time of a drawing."""
    return bool(film.frames) and film.frames[0].latents[0, 0].size <= SMALL_PLACES


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
