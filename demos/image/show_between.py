"""How an animation looks while it is drawn and when it is done, and its files. No Gradio here."""

from __future__ import annotations

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from demos.image.between import BetweenRequest, BetweenStep
from demos.image.show_compare import fit
from shared.data_urls import to_data_url
from shared.film import save_gif, save_mp4

FRAMES_PER_SECOND = 8
REST_SECONDS = 0.5  # pause at each stop
GIF_SIDE, MP4_SIDE = 256, 512  # pixels, at least, of small pictures
STRIP_SIDE = 96  # pixels, at most, of a frame in the strip


def show_frames(step: BetweenStep) -> str:
    """All frames so far in a strip; those at stops have their names."""
    figures = "".join(
        f"<figure>{_show_frame(step, number, frame)}"
        f"<figcaption>{html.escape(step.request.stops.get(number, ''))}</figcaption></figure>"
        for number, frame in enumerate(step.frames)
    )
    return f'<div class="between-frames">{figures}</div>'


def _show_frame(step: BetweenStep, number: int, frame: Image.Image | None) -> str:
    if frame is None:
        return '<div class="to-come"></div>'
    state = "" if number in step.finished else ' class="under-way"'
    url = to_data_url(fit(frame, STRIP_SIDE))
    return f'<img src="{url}" alt="Frame {number + 1} of {len(step.frames)}"{state}>'


def show_film(url: str, about: str) -> str:
    """An animation that plays in a loop, with controls to stop it and to move along it."""
    return (
        f'<video src="{html.escape(url)}" aria-label="{html.escape(about)}" controls autoplay loop '
        "muted playsinline disablepictureinpicture></video>"
    )


def describe(request: BetweenRequest) -> str:
    """Name the animation in a line. The prompts may be anything: it is not HTML."""
    if request.what == "words":
        return f"From “{request.prompt}” to “{request.second_prompt}”, seed {request.seed}"
    names = list(request.stops.values())
    return f"“{request.prompt}”: {', '.join(names)} and back"


def show_progress(step: BetweenStep) -> str:
    """A line: how many frames there are and how long it will take."""
    parts = [f"{len(step.finished)} of {len(step.frames)} frames", f"seed {step.request.seed}"]
    if step.seconds_left is not None and not step.is_done:
        left = f" · about {max(1, round(step.seconds_left))} s left"
        parts[-1] += f'<span class="left">{left}</span>'
    return " · ".join(parts) + show_withheld(step)


def show_withheld(step: BetweenStep) -> str:
    """What to add to the line if frames are black, else nothing."""
    count = len(step.withheld)
    return f" · A safety checker withheld {count} frames, which are black" if count else ""


def save_films(step: BetweenStep, base: Path, recipe: Mapping[str, Any]) -> tuple[Path, Path]:
    """Write ``base``.gif and ``base``.mp4 with ``recipe`` in them; return their paths."""
    frames, seconds = play(step)
    gif, mp4 = base.with_suffix(".gif"), base.with_suffix(".mp4")
    small = [fit(frame, GIF_SIDE) for frame in frames]
    save_gif(small, gif, recipe, seconds=seconds, height=_enlarge(small[0], GIF_SIDE))
    save_mp4(
        frames,
        mp4,
        recipe,
        seconds=seconds,
        height=_enlarge(frames[0], MP4_SIDE),
        frames_per_second=FRAMES_PER_SECOND,
    )
    return gif, mp4


def play(step: BetweenStep) -> tuple[list[Image.Image], list[float]]:
    """Return the frames in the order in which they are shown, and for how many seconds each.

    A loop is one already; a way between two sentences is gone back as well.
    """
    order = list(range(len(step.frames)))
    if step.request.what == "words":
        order += order[-2:0:-1]
    frames = [frame for number in order if (frame := step.frames[number])]
    stops = step.request.stops
    return frames, [REST_SECONDS if n in stops else 1 / FRAMES_PER_SECOND for n in order]


def _enlarge(picture: Image.Image, side: int) -> int:
    """The height at which the pixels of ``picture`` become whole squares."""
    factor = max(1, side // picture.height)
    return picture.height * factor // 2 * 2
