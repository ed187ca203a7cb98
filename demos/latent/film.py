"""Films of a walk: both models' pictures side by side, as GIF and as MP4. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from demos.latent.walk import WalkStep

FRAMES_PER_SECOND = 20
GIF_EVERY = 2  # of the film's frames is in the GIF, which packs pictures far worse
REST_SECONDS = 0.4  # that a film stands still at each seed
GIF_SIDE, MP4_SIDE = 256, 512  # pixels a side of each model's picture


def save_gif(steps: Sequence[WalkStep], path: Path, comment: str, *, side: int = GIF_SIDE) -> None:
    """Write an endless animation that rests at every seed; ``comment`` is kept in it."""
    kept = steps[::GIF_EVERY]  # every seed is among them: there is an even number between two
    # Colours are chosen before pixels are repeated, which is less work and changes none.
    frames = [_enlarge(_join(step).quantize(128), side) for step in kept]
    frame_ms = 1000 * GIF_EVERY // FRAMES_PER_SECOND
    frames[0].save(
        path,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=[_rest(step, frame_ms, round(1000 * REST_SECONDS)) for step in kept],
        loop=0,
        comment=comment.encode(),
    )


def save_mp4(steps: Sequence[WalkStep], path: Path, comment: str, *, side: int = MP4_SIDE) -> None:
    """Write the same film as MP4, in the kind of H.264 (yuv420p) that every browser plays.

    Each pixel is repeated before it is encoded, so that it is a sharp square in every player.
    """
    import av  # its libraries take a moment to load

    # faststart: what a player must read first stands first.
    with av.open(str(path), "w", "mp4", options={"movflags": "+faststart"}) as film:
        film.metadata["comment"] = comment
        stream = film.add_stream(
            "libx264", FRAMES_PER_SECOND, options={"crf": "20", "preset": "veryfast"}
        )
        stream.width, stream.height = 2 * side, side
        stream.pix_fmt = "yuv420p"
        for number, pixels in enumerate(_repeat(steps, side)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, FRAMES_PER_SECOND)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())


def _repeat(steps: Sequence[WalkStep], side: int) -> Iterator[np.ndarray]:
    """Yield every frame of the film, those at rest several times: (side, 2 side, 3) uint8."""
    for step in steps:
        pixels = np.asarray(_enlarge(_join(step), side))
        for _ in range(_rest(step, 1, round(REST_SECONDS * FRAMES_PER_SECOND))):
            yield pixels


def _rest(step: WalkStep, moving: int, resting: int) -> int:
    """How long to show ``step``: at a seed, the film rests."""
    return moving if step.seed is None else resting


def _join(step: WalkStep) -> Image.Image:
    """The VAE's picture left of the GAN's."""
    vae, gan = step.pair.vae, step.pair.gan
    frame = Image.new("RGB", (vae.width + gan.width, vae.height))
    frame.paste(vae, (0, 0))
    frame.paste(gan, (vae.width, 0))
    return frame


def _enlarge(frame: Image.Image, side: int) -> Image.Image:
    return frame.resize((2 * side, side), Image.Resampling.NEAREST)
