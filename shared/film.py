"""Animations as GIF and MP4 with their recipe inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from shared.recipe_files import add_to_film, make_gif_comment


def save_gif(
    frames: Sequence[Image.Image],
    path: Path,
    recipe: Mapping[str, Any],
    *,
    seconds: Sequence[float],
    height: int,
) -> None:
    """Write an animation that loops forever.

    Args:
        frames: RGB pictures of one size.
        path: The file.
        recipe: Kept in the file.
        seconds: How long each frame is shown; the format stores hundredths.
        height: Of the animation, in pixels; frames are scaled up without smoothing.
    """
    # Quantised before scaling: less work, same colours.
    pictures = [_resize(frame.quantize(128), height) for frame in frames]
    pictures[0].save(
        path,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[round(1000 * shown) for shown in seconds],
        loop=0,
        comment=make_gif_comment(recipe),
    )


def save_mp4(
    frames: Sequence[Image.Image],
    path: Path,
    recipe: Mapping[str, Any],
    *,
    seconds: Sequence[float],
    height: int,
    frames_per_second: int,
    crf: int = 20,
) -> None:
    """Write the animation as MP4, in H.264 with yuv420p, which every browser plays.

    Frames are scaled up before encoding, so that pixels are sharp squares in every player. A frame
    that is shown for longer than 1 / ``frames_per_second`` is repeated.

    Args:
        frames: As for ``save_gif``.
        path: The file.
        recipe: As for ``save_gif``.
        seconds: How long each frame is shown.
        height: As for ``save_gif``; even.
        frames_per_second: Of the film.
        crf: Constant rate factor of the encoder, 0 (lossless) to 51.
    """
    import av  # its libraries take a moment to load

    # faststart: the index comes first, so that players can start before the end has arrived.
    with av.open(str(path), "w", "mp4", options={"movflags": "+faststart"}) as film:
        add_to_film(film, recipe)
        stream = film.add_stream(
            "libx264", frames_per_second, options={"crf": str(crf), "preset": "veryfast"}
        )
        stream.width, stream.height = _resize(frames[0], height).size
        stream.pix_fmt = "yuv420p"
        index = 0
        for picture, shown in zip(frames, seconds, strict=True):
            pixels = np.asarray(_resize(picture.convert("RGB"), height))
            for _ in range(max(1, round(shown * frames_per_second))):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, frames_per_second)
                film.mux(stream.encode(frame))
                index += 1
        film.mux(stream.encode())


def _resize(frame: Image.Image, height: int) -> Image.Image:
    width = frame.width * height // frame.height
    return frame.resize((width - width % 2, height), Image.Resampling.NEAREST)
