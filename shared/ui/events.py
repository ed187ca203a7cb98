"""Gradio events that run a model: waiting, showing steps, stopping, errors."""

from __future__ import annotations

import contextlib
import functools
import html
import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gradio as gr

from shared.errors import GalleryError
from shared.limits import QUEUES
from shared.room import Waiting
from shared.ui.controls import RunButtons

_PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
# Events that end within milliseconds.
QUICK = _PRIVATE | {"queue": False}
# The same for events that change a state: Gradio fires its change event only if they are queued.
QUEUED = _PRIVATE | {"concurrency_limit": None}
# Events that follow typing or a slider: while one runs, only the last of the others is kept.
LIVE = _PRIVATE | {
    "trigger_mode": "always_last",
    "concurrency_id": "live",
    "concurrency_limit": QUEUES["live"],
}

# The part of a caption about the remaining time, which is removed after a Stop.
_LEFT = re.compile(r'<span class="left">.*?</span>')
# On a narrow screen the exhibit may be far above the button: scroll to it.
_SHOW_EXHIBIT = """() => {
  const exhibits = [...document.querySelectorAll(".tab-columns > .exhibit")];
  const exhibit = exhibits.find((one) => one.offsetParent); // that of the open tab
  const { top, bottom } = exhibit?.getBoundingClientRect() ?? { top: 0, bottom: innerHeight };
  if (bottom > innerHeight / 2 && top < innerHeight / 2) return;
  exhibit.scrollIntoView({ block: "start" }); // at once: hiding the button ends a smooth scroll
}"""


def wire_generation(
    buttons: RunButtons,
    generate: Callable[..., Iterator[Any]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    caption: gr.HTML,
    also: Sequence[Callable[..., Any]] = (),
    begin: Sequence[Callable[..., Any]] = (),
    end_on: Sequence[Callable[..., Any]] = (),
) -> list[Any]:
    """Run ``generate`` on a click of the run button (and on events ``also``); end it on Stop.

    ``generate`` yields values for ``outputs`` and, before them, the ``Waiting`` of ``Room.run``,
    which are shown under the buttons. The last step stays on the page however the run ends; after
    a Stop the ``caption`` says so.

    Args:
        buttons: Start and stop it.
        generate: A generator function, usually around ``Room.run``.
        inputs: Components with its arguments.
        outputs: Components that it yields values for, as a sequence or a dict.
        caption: The line under the exhibit.
        also: Further events that start it.
        begin: Events that start it instead of the button, if the tab handles the click itself.
        end_on: Further events that end it.

    Returns:
        The events after success and on Stop, for a tab to continue from.
    """
    run, stop, waiting = buttons.run, buttons.stop, buttons.waiting
    busy = [gr.update(visible=False), gr.update(visible=True), show_waiting("One moment")]
    ready = [gr.update(visible=True), gr.update(visible=False), ""]
    controls = [run, stop, waiting]

    def show_steps(*args: Any) -> Iterator[Any]:
        with contextlib.closing(generate(*args)) as steps:  # type: ignore[type-var]
            for step in steps:
                if isinstance(step, Waiting):
                    yield {waiting: show_waiting(step.text)}
                elif isinstance(step, dict):
                    yield {**step, waiting: ""}
                else:
                    yield *step, ""

    def end(shown: str, caption: str) -> list[Any]:
        if "failed" in shown:
            return [*ready[:2], gr.skip(), gr.skip()]
        # While it waits there is no result: the caption belongs to the one before.
        if shown:
            return [*ready[:2], "Stopped before anything was made.", gr.skip()]
        return [*ready, f"{_LEFT.sub('', caption)} · stopped"]

    started = gr.on(
        [*(begin or [run.click]), *also], lambda: busy, None, controls, js=_SHOW_EXHIBIT, **QUICK
    )
    running = started.then(
        keep_message(show_steps, waiting),
        list(inputs),
        [*outputs, waiting],
        concurrency_id="generation",
        concurrency_limit=QUEUES["generation"],
        show_progress="minimal",
        show_progress_on=list(outputs),
        api_visibility="private",
    )
    done = running.success(lambda: ready, None, controls, **QUICK)
    # After an error, and after a Stop when the run has really ended. Earlier, the page would ignore
    # another click of the run button, and late steps would overwrite the caption.
    running.failure(end, [waiting, caption], [*controls, caption], **QUICK)
    stopped = gr.on([stop.click, *end_on], lambda: None, None, None, cancels=[running], **QUICK)
    return [done, stopped]


def show_waiting(text: str) -> str:
    """Return the line under the buttons; CSS shows it while the Stop is visible."""
    return f'<span class="waking" role="status">{html.escape(text)} …</span>'


def keep_message(
    function: Callable[..., Iterator[Any]], output: gr.HTML
) -> Callable[..., Iterator[Any]]:
    """Keep a GalleryError on the page, in ``output``: Gradio's message disappears after seconds."""

    def generate(*args: Any) -> Iterator[Any]:
        try:
            yield from function(*args)
        except GalleryError as error:
            yield {output: f'<span class="failed">{html.escape(str(error))}</span>'}
            raise

    return say_errors(generate)


def say_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show a GalleryError as a message, without a traceback. Works for generators, too."""

    @contextlib.contextmanager
    def translated() -> Iterator[None]:
        try:
            yield
        except GalleryError as error:
            # The page renders messages as HTML, and they may quote what a visitor typed.
            message = html.escape(str(error), quote=False)
            raise gr.Error(message, title="Sorry", print_exception=False) from error

    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def generate(*args: Any) -> Iterator[Any]:
            with translated():
                yield from function(*args)

        return generate

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        with translated():
            return function(*args)

    return call
