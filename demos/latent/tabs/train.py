"""Train one: a critter VAE or GAN from random weights, on this machine, watched as it learns.

The training is a process of its own at low priority, so it keeps neither the device's queue nor
this process busy: the other rooms stay as quick as the processor allows.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

import gradio as gr

from demos.latent.room import LatentRoom
from demos.latent.training import (
    Story,
    TrainRequest,
    plan,
    read_bundled_minutes,
    read_example,
)
from shared.errors import GalleryError
from shared.live_training import MOST_IN_LINE, TRAINING_LINE, follow_training
from shared.training_film import BEHAVIOUR, FILM, show_curves
from shared.ui import CAPTION, RunButtons, SeedControl, create_slider, say_errors, tab_floor

TRAINING_QUEUE = "training"
ABOUT = (
    "It starts from random weights, on the machine that runs this gallery, with the very program "
    "that made the bundled model. Others can use the gallery meanwhile; one visitor trains at a "
    "time. Stop whenever you like: what it drew stays while this page is open."
)
QUICK: dict[str, Any] = {
    "queue": False,
    "show_progress": "hidden",
    "api_visibility": "private",
}


def create_train(room: LatentRoom, options: Sequence[str] = ()) -> None:
    """Add the tab's contents to the current place.

    Args:
        room: Knows the settings.
        options: Further arguments for the training scripts; tests make them short with these.
    """
    example = read_example()
    with tab_floor() as floor:
        with floor.controls:
            network = gr.Radio(
                [("A VAE, which redraws", "vae"), ("A GAN, which fools a critic", "gan")],
                value="vae",
                label="What to train",
            )
            minutes = create_slider(TrainRequest, "minutes", step=1)
            buttons = RunButtons.create("Start training")
            seed = SeedControl.create()
            gr.HTML(ABOUT, **CAPTION)
        with floor.exhibit:
            film = gr.HTML(
                example.get("film"),
                html_template=FILM,
                js_on_load=BEHAVIOUR,
                apply_default_css=False,
                elem_classes="training-film",
            )
            caption = gr.HTML(
                example.get("caption", "Nobody has trained anything here yet."), **CAPTION
            )
    curves = gr.HTML(example.get("curves", ""), padding=False)
    status = buttons.waiting

    def train(network: str, minutes: float, seed_wish: int) -> Iterator[dict[Any, Any]]:
        request = TrainRequest.parse(network=network, minutes=minutes, seed=seed_wish)
        story = Story(request, read_bundled_minutes(request.network, room.settings))
        run = uuid.uuid4().hex
        arguments = [*plan(request, room.settings), *options]

        def look(heard: float) -> dict[Any, Any]:
            shown: dict[Any, Any] = {status: show_status(story.progress(time.monotonic() - heard))}
            if news := story.film(run):
                drawn = show_curves(story.curves(), request.minutes)
                shown |= {film: news, curves: drawn, caption: story.caption()}
            return shown

        with TRAINING_LINE.join() as place:
            ahead = place.ahead
            while ahead:
                yield {status: show_status(say_place(ahead))}
                ahead = place.wait(1.0)
            yield {status: show_status("Starting"), seed.used: request.seed}
            reports = follow_training(f"train_{request.network}", arguments)
            heard = time.monotonic()
            with contextlib.closing(reports):  # type: ignore[type-var]
                for report in reports:
                    if report is None:
                        yield look(heard)
                    else:
                        story.add(report)
                        heard = time.monotonic() if report.kind == "sample" else heard
            # Apart: a component that gets both in one step would show the last only.
            yield look(heard)
            ended = {caption: f"{story.caption()}<br>{story.ending()}", status: ""}
            yield ended | {curves: show_curves(story.curves(), request.minutes)}

    def keep_message(*values: Any) -> Iterator[dict[Any, Any]]:
        # The page shows a message for seconds only.
        try:
            yield from train(*values)
        except GalleryError as error:
            yield {status: f'<span class="failed">{escape(str(error))}</span>'}
            raise

    def end(shown: str, text: str) -> list[Any]:
        if "failed" in shown:
            return [*ready, gr.skip(), gr.skip()]
        if "Training" in shown:
            return [*ready, "", f"{text} · stopped"]
        # Who still waits has not begun anything: the caption belongs to what was there before.
        return [*ready, "<span>Stopped before the first step.</span>", gr.skip()]

    busy = [gr.update(visible=False), gr.update(visible=True), show_status("One moment")]
    ready = [gr.update(visible=True), gr.update(visible=False)]
    places = [buttons.run, buttons.stop, status]
    started = buttons.run.click(lambda: busy, None, places, **QUICK)
    running = started.then(
        say_errors(keep_message),
        [network, minutes, seed.seed],
        [film, caption, curves, status, seed.used],
        # All may come in: who is first in TRAINING_LINE trains, the others see their place.
        concurrency_id=TRAINING_QUEUE,
        concurrency_limit=MOST_IN_LINE + 2,
        show_progress="hidden",
        api_visibility="private",
    )
    running.success(lambda: [*ready, ""], None, places, **QUICK)
    # After an error; and after a Stop, once the training has really ended: nothing overtakes it.
    running.failure(end, [status, caption], [*places, caption], **QUICK)
    buttons.stop.click(None, None, None, cancels=[running], **QUICK)


def show_status(text: str) -> str:
    """The line under the buttons while there is a Stop."""
    # The clock ticks every second: nothing to read aloud each time.
    role = "" if text.startswith("Training") else 'role="status"'
    return f'<span class="waking" {role}>{escape(text)} …</span>'


def say_place(ahead: int) -> str:
    """Say how many are before this visitor, who is not served yet."""
    if ahead == 1:
        return "Another visitor is training; you are next"
    return f"Another visitor is training; {ahead - 1} more before you"
