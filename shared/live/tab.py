"""Train one, in whatever room: start a training, watch it, stop it, and wait in line for that.

The training is a process of its own at low priority, so it keeps neither the device's queue nor
this process busy: the other rooms stay as quick as the processor allows.
"""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from shared.limits import QUEUES
from shared.live.film import BEHAVIOUR, FILM, show_curves
from shared.live.process import TRAINING_LINE, follow_training
from shared.live.story import Story
from shared.ui.controls import RunButtons, SeedControl
from shared.ui.events import QUICK, keep_message, show_waiting
from shared.ui.layout import CAPTION


@dataclass(frozen=True)
class Training:
    """What to train.

    Attributes:
        script: A module in ``training``.
        arguments: Its arguments.
        story: Takes note of what it reports.
        keep: Where the trained model goes.
        shows: Values for further components, from the beginning.
    """

    script: str
    arguments: Sequence[str]
    story: Story
    keep: Path | None = None
    shows: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Exhibit:
    """What a training shows."""

    film: gr.HTML
    caption: gr.HTML
    curves: gr.HTML

    @classmethod
    def create(cls, example: Mapping[str, Any], *, wide: bool = False) -> Exhibit:
        """Add it to the current column, with a recorded ``example`` or without.

        Args:
            example: What ``read_example`` returned.
            wide: Whether the pictures are four by three.
        """
        film = gr.HTML(
            example.get("film"),
            html_template=FILM,
            js_on_load=BEHAVIOUR,
            apply_default_css=False,
            elem_classes=["training-film", *(["wide"] if wide else [])],
        )
        caption = example.get("caption", "Nobody has trained anything here yet.")
        # The curves' place is below the floor, as wide as the page.
        curves = gr.HTML(example.get("curves", ""), render=False, padding=False)
        return cls(film, gr.HTML(caption, **CAPTION), curves)


def wire_training(
    buttons: RunButtons,
    seed: SeedControl,
    exhibit: Exhibit,
    prepare: Callable[..., Training],
    inputs: Sequence[Any],
    *,
    shows: Sequence[Any] = (),
) -> list[Any]:
    """Train what ``prepare`` makes of ``inputs`` on a click of the run button; end it on Stop.

    Whatever was drawn stays on the page when it ends, however it ends.

    Args:
        buttons: Start and stop it; what one is waiting for is told under them.
        seed: Is told the seed that is used.
        exhibit: Shows how it goes.
        prepare: Raises GalleryError where something cannot be trained.
        inputs: Components with its arguments.
        shows: Those that ``Training.shows`` may have values for.

    Returns:
        The two events it can end with, done and not, for a tab that has something to add to either.
    """
    film, caption, curves, status = (
        exhibit.film,
        exhibit.caption,
        exhibit.curves,
        buttons.waiting,
    )

    def train(*values: Any) -> Iterator[dict[Any, Any]]:
        training = prepare(*values)
        story, run = training.story, uuid.uuid4().hex

        def look(heard: float) -> dict[Any, Any]:
            shown: dict[Any, Any] = {status: show_status(story.progress(time.monotonic() - heard))}
            if news := story.film(run):
                drawn = show_curves(story.curves(), story.request.minutes)
                shown |= {film: news, curves: drawn, caption: story.caption()}
            return shown

        yield {status: show_status("One moment"), **training.shows}
        with TRAINING_LINE.join() as place:
            ahead = place.ahead
            while ahead:
                yield {status: show_status(say_place(ahead))}
                ahead = place.wait(1.0)
            yield {status: show_status("Starting"), seed.used: story.request.seed}
            reports = follow_training(training.script, training.arguments, keep=training.keep)
            heard = time.monotonic()
            with contextlib.closing(reports):  # type: ignore[type-var]
                for report in reports:
                    if report is None:
                        yield look(heard)
                    else:
                        story.add(report)
                        told = report.kind in ("sample", "loss")
                        heard = time.monotonic() if told else heard
            # Apart: a component that gets both in one step would show the last only.
            yield look(heard)
            ended = {caption: f"{story.caption()}<br>{story.ending()}", status: ""}
            yield ended | {curves: show_curves(story.curves(), story.request.minutes)}

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
        keep_message(train, status),
        list(inputs),
        [film, caption, curves, status, seed.used, *shows],
        # All may come in: who is first in TRAINING_LINE trains, the others see their place.
        concurrency_id="training",
        concurrency_limit=QUEUES["training"],
        show_progress="hidden",
        api_visibility="private",
    )
    done = running.success(lambda: [*ready, ""], None, places, **QUICK)
    # After an error; and after a Stop, once the training has really ended: nothing overtakes it.
    stopped = running.failure(end, [status, caption], [*places, caption], **QUICK)
    buttons.stop.click(None, None, None, cancels=[running], **QUICK)
    return [done, stopped]


def show_status(text: str) -> str:
    """The line under the buttons while there is a Stop."""
    if not text.startswith("Training"):
        return show_waiting(text)
    # The clock ticks every second: nothing to read aloud each time.
    return f'<span class="waking">{escape(text)} …</span>'


def say_place(ahead: int) -> str:
    """Say how many are before this visitor, who is not served yet."""
    if ahead == 1:
        return "Another visitor is training; you are next"
    return f"Another visitor is training; {ahead - 1} more before you"
