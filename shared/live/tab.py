"""The tab "Train one" of every room: start, watch and stop a training, or queue for it.

The training runs in a subprocess at low priority, so it blocks neither the device's queue nor this
process.
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
from shared.live.log import TrainingLog
from shared.live.process import follow_training, join_training_queue
from shared.ui.controls import RunButtons, SeedControl
from shared.ui.events import QUICK, keep_message, show_waiting
from shared.ui.layout import CAPTION


@dataclass(frozen=True)
class Training:
    """What to train.

    Attributes:
        script: A module in ``training``.
        arguments: Its arguments.
        log: Collects its reports.
        keep: Where to save the trained model.
        shows: Values for further components, set when the training is requested.
    """

    script: str
    arguments: Sequence[str]
    log: TrainingLog
    keep: Path | None = None
    shows: Mapping[Any, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainingView:
    """The components that show a training."""

    film: gr.HTML
    caption: gr.HTML
    curves: gr.HTML

    @classmethod
    def create(cls, example: Mapping[str, Any], *, wide: bool = False) -> TrainingView:
        """Add film and caption to the current column; the caller renders ``curves``.

        Args:
            example: What ``read_example`` returned.
            wide: Whether the pictures are 4:3.
        """
        film = gr.HTML(
            example.get("film"),
            html_template=FILM,
            js_on_load=BEHAVIOUR,
            apply_default_css=False,
            elem_classes=["training-film", *(["wide"] if wide else [])],
        )
        caption = example.get("caption", "Nobody has trained anything here yet.")
        # The curves are below the columns, as wide as the page.
        curves = gr.HTML(example.get("curves", ""), render=False, padding=False)
        return cls(film, gr.HTML(caption, **CAPTION), curves)


def wire_training(
    buttons: RunButtons,
    seed: SeedControl,
    view: TrainingView,
    prepare: Callable[..., Training],
    inputs: Sequence[Any],
    *,
    shows: Sequence[Any] = (),
) -> list[Any]:
    """Run ``prepare(*inputs)`` and its training on a click of the run button; end it on Stop.

    Pictures and curves stay on the page however the training ends.

    Args:
        buttons: Start and stop it; its status is shown under them.
        seed: Shows the seed that is used.
        view: Shows pictures and curves.
        prepare: Raises GalleryError if the training is not possible.
        inputs: Components with the arguments of ``prepare``.
        shows: Components that ``Training.shows`` may have values for.

    Returns:
        The two events that end it, success and failure, for a tab that adds a step to either.
    """
    film, caption, curves, status = (
        view.film,
        view.caption,
        view.curves,
        buttons.waiting,
    )

    def train(*values: Any) -> Iterator[dict[Any, Any]]:
        training = prepare(*values)
        log, run = training.log, uuid.uuid4().hex

        def show_progress(sampled: float) -> dict[Any, Any]:
            shown: dict[Any, Any] = {status: show_status(log.progress(time.monotonic() - sampled))}
            if news := log.film(run):
                drawn = show_curves(log.curves(), log.request.minutes)
                shown |= {film: news, curves: drawn, caption: log.caption()}
            return shown

        yield {status: show_status("One moment"), **training.shows}
        with join_training_queue() as place:
            ahead = place.wait(0)
            while ahead:
                yield {status: show_status(say_place(ahead))}
                ahead = place.wait(1.0)
            yield {status: show_status("Starting"), seed.used: log.request.seed}
            reports = follow_training(training.script, training.arguments, keep=training.keep)
            sampled = time.monotonic()
            with contextlib.closing(reports):  # type: ignore[type-var]
                for report in reports:
                    if report is None:
                        yield show_progress(sampled)
                    else:
                        log.add(report)
                        if report.kind in ("sample", "loss"):
                            sampled = time.monotonic()
            # A step of its own: a component shows only the last of two values in one step.
            yield show_progress(sampled)
            ended = {caption: f"{log.caption()}<br>{log.ending()}", status: ""}
            yield ended | {curves: show_curves(log.curves(), log.request.minutes)}

    def end(shown: str, text: str) -> list[Any]:
        if "failed" in shown:
            return [*ready, gr.skip(), gr.skip()]
        if "Training" in shown:
            return [*ready, "", f"{text} · stopped"]
        # It never started, so the caption still describes the earlier training.
        return [*ready, "<span>Stopped before the first step.</span>", gr.skip()]

    busy = [gr.update(visible=False), gr.update(visible=True), show_status("One moment")]
    ready = [gr.update(visible=True), gr.update(visible=False)]
    places = [buttons.run, buttons.stop, status]
    started = buttons.run.click(lambda: busy, None, places, **QUICK)
    running = started.then(
        keep_message(train, status),
        list(inputs),
        [film, caption, curves, status, seed.used, *shows],
        # All events start; the first in the training queue trains, the others see their position.
        concurrency_id="training",
        concurrency_limit=QUEUES["training"],
        show_progress="hidden",
        api_visibility="private",
    )
    done = running.success(lambda: [*ready, ""], None, places, **QUICK)
    # After an error, and after a Stop once the process has ended.
    stopped = running.failure(end, [status, caption], [*places, caption], **QUICK)
    buttons.stop.click(None, None, None, cancels=[running], **QUICK)
    return [done, stopped]


def show_status(text: str) -> str:
    """Return the status line under the buttons."""
    if not text.startswith("Training"):
        return show_waiting(text)
    # No live region: a screen reader must not read the clock every second.
    return f'<span class="waking">{escape(text)} …</span>'


def say_place(ahead: int) -> str:
    """Return a message about the ``ahead`` visitors before this one, at least 1."""
    if ahead == 1:
        return "Another visitor is training; you are next"
    return f"Another visitor is training; {ahead - 1} more before you"
