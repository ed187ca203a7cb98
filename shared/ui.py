"""How every room looks and behaves: layout, controls, and what happens when a button is pressed."""

from __future__ import annotations

import contextlib
import functools
import html
import inspect
import math
import os
import re
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing leaves the machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # or idle threads of torch spin on busy cores
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")  # they warn of what is right here
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")

import gradio as gr
from gradio.components import Number
from gradio.components.api_component import Api
from gradio.utils import get_upload_folder

from shared import temporary_files
from shared.catalog import Catalog, ModelSpec, Task
from shared.errors import GalleryError
from shared.loader import Progress
from shared.model_cache import ModelCache
from shared.requests import Request

# All events that keep a device busy queue under this name, so that visitors take turns.
DEVICE_QUEUE = "device"
# A program waits for its model and for the device in one event, so that this is a queue of its own.
ENDPOINT_QUEUE = "endpoints"
_turn = threading.Semaphore()
# Waiting for a model keeps nothing busy: as many visitors may do so as a school has classes.
WAKING_QUEUE, MOST_WAKING = "waking", 100
CSS_PATH = Path(__file__).with_name("gallery.css")
_SANS = ["ui-sans-serif", "system-ui", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]

# What a caption says of the time to come is in such an element: it goes when nothing comes.
_LEFT = re.compile(r'<span class="left">.*?</span>')
# On a narrow screen the button may have been pressed a page below what it fills.
_SHOW_EXHIBIT = """() => {
  const exhibits = [...document.querySelectorAll(".floor > .exhibit")];
  const exhibit = exhibits.find((one) => one.offsetParent); // that of the open tab
  const { top, bottom } = exhibit?.getBoundingClientRect() ?? { top: 0, bottom: innerHeight };
  if (bottom > innerHeight / 2 && top < innerHeight / 2) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  exhibit.scrollIntoView({ block: "start", behavior: calm ? "auto" : "smooth" });
}"""
CAPTION: dict[str, Any] = {"elem_classes": "caption", "padding": False}
T = TypeVar("T")


def create_theme() -> gr.themes.Base:
    """Make the gallery's theme: plain walls, local fonts, the accent left to each room."""
    return gr.themes.Base(neutral_hue="stone", radius_size="md", font=_SANS, font_mono=_MONO).set(
        body_background_fill="#f7f5f0",
        body_background_fill_dark="#161514",
        body_text_color="#1f1d1a",
        body_text_color_dark="#ece9e2",
        body_text_color_subdued="#5d5850",
        body_text_color_subdued_dark="#aaa49a",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1f1e1c",
        background_fill_secondary="#f1eee7",
        background_fill_secondary_dark="#262422",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1f1e1c",
        block_border_color="#e2ddd2",
        block_border_color_dark="#383531",
        border_color_primary="#e2ddd2",
        border_color_primary_dark="#383531",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        input_background_fill="#fbfaf7",
        input_background_fill_dark="#181716",
    )


@dataclass(frozen=True)
class Room:
    """The places of a room that its demo fills: ``with room.controls: ...``."""

    controls: gr.Column
    exhibit: gr.Column
    inside: gr.Column


@contextlib.contextmanager
def create_room(slug: str, title: str, wall_label: str, lesson: Path) -> Iterator[Room]:
    """Lay out a room: title, wall label and lesson; controls beside the exhibit.

    On a narrow screen the exhibit comes first. ``slug`` chooses the accent in gallery.css.
    """
    with create_hall(slug, title, wall_label, lesson):
        with tab_floor() as floor:
            pass
        inside = gr.Column(elem_classes="inside")
        yield Room(floor.controls, floor.exhibit, inside)


@dataclass(frozen=True)
class Floor:
    """The two places of a tab: ``with floor.controls: ...``."""

    controls: gr.Column
    exhibit: gr.Column


@contextlib.contextmanager
def tab_floor() -> Iterator[Floor]:
    """Lay out controls beside the exhibit, which comes first on a narrow screen."""
    with gr.Row(elem_classes="floor"):
        controls = gr.Column(scale=4, min_width=300, elem_classes="controls")
        exhibit = gr.Column(scale=7, min_width=300, elem_classes="exhibit")
    yield Floor(controls, exhibit)


@contextlib.contextmanager
def create_hall(slug: str, title: str, wall_label: str, lesson: Path) -> Iterator[None]:
    """Lay out a room of several tabs: title and wall label, what the block adds, the lesson.

    ``slug`` chooses the accent in gallery.css.
    """
    with gr.Column(elem_classes=["room", f"room-{slug}"]):
        gr.HTML(
            f'<div class="wall-label"><h2>{html.escape(title)}</h2>'
            f"<p>{html.escape(wall_label)}</p></div>"
        )
        yield
        with gr.Accordion("Read more: how this works", open=False, elem_classes="lesson"):
            gr.Markdown(lesson.read_text(encoding="utf-8"))


def choose_model(
    catalog: Catalog,
    task: Task,
    label: str = "Model",
    none: str = "",
    keep: Callable[[ModelSpec], bool] = lambda spec: True,
) -> gr.Dropdown:
    """A picker of the room's models; the first, bundled one is chosen.

    With ``none``, that is chosen instead, and its value is "". ``keep`` says which are offered.
    """
    specs = [spec for spec in catalog.for_task(task) if keep(spec)]
    choices = [(none, "")] if none else []
    for spec in specs:
        missing = catalog.download_bytes(spec.key)
        size = f"{missing / 1e9:.1f} GB" if missing >= 1e9 else f"{missing / 1e6:.0f} MB"
        note = f" ({size} download)" if missing else ""
        choices.append((spec.title + note, spec.key))
    chosen = "" if none else specs[0].key
    return gr.Dropdown(choices, value=chosen, label=label, elem_classes="model")


def _take_in_range(slider: gr.Slider, payload: float | None) -> float | None:
    """Return what was typed beside a slider, within its range, as the page does a moment later."""
    value = slider.minimum if payload is None else payload
    return Number.round_to_precision(
        min(max(value, slider.minimum), slider.maximum), slider.precision
    )


# Gradio's own raises while a number is being typed: "9" on the way to "90", or an emptied field. A
# subclass would make Gradio write a .pyi file beside this one.
gr.Slider.preprocess = _take_in_range  # type: ignore[method-assign,assignment]


def create_slider(request: type[Request], name: str, *, step: float, **options: Any) -> gr.Slider:
    """A slider with the range and default that ``request`` declares for field ``name``."""
    minimum, maximum, default = request.limits(name)
    label = options.pop("label", name.replace("_", " ").capitalize())
    value = options.pop("value", default)
    return gr.Slider(minimum, maximum, value, step=step, label=label, **options)


@dataclass(frozen=True)
class RunButtons:
    """The room's main button, the Stop that takes its place, and what one is waiting for."""

    run: gr.Button
    stop: gr.Button
    waiting: gr.HTML

    @classmethod
    def create(cls, label: str) -> RunButtons:
        """Add them to the current column."""
        run = gr.Button(label, variant="primary", size="lg")
        stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes="stop")
        return cls(run, stop, gr.HTML("", **CAPTION))


@dataclass(frozen=True)
class SeedControl:
    """The seed field of a room, and the button that puts the last seed back into it."""

    seed: gr.Number
    used: gr.State
    reuse: gr.Button

    @classmethod
    def create(cls, last: int = -1) -> SeedControl:
        """Add the field and the button to the current column; ``last`` is that of an example."""
        with gr.Row(elem_classes="seed-row", equal_height=True):
            seed = gr.Number(-1, label="Seed", info="-1 draws a new one", min_width=110)
            reuse = gr.Button("Keep last seed", size="sm", min_width=110)
        used = gr.State(last)
        reuse.click(lambda last: last, used, seed, queue=False, api_visibility="private")
        return cls(seed, used, reuse)


@dataclass(frozen=True)
class Waiting:
    """What a generator of a room yields while its model is not awake yet; "" once it is."""

    text: str


def wake(cache: ModelCache, *specs: ModelSpec) -> Iterator[Waiting]:
    """Wait until the models of ``specs`` are loaded, saying what for.

    A room's generator says ``yield from wake(...)`` before it shows anything else: a load that
    fails or is stopped then leaves all on the page as it was. Closing it ends the waiting.
    """
    for spec in specs:
        with contextlib.closing(cache.prepare(spec.key)) as loading:
            for progress in loading:
                yield Waiting(show_waking(spec, progress))
    yield Waiting("")


def show_waking(spec: ModelSpec, progress: Progress) -> str:
    """Say in a line how far a load is, such as "Downloading SmolLM2 · 43 % of 270 MB"."""
    if progress.total:
        share, megabytes = progress.done / progress.total, progress.total / 1e6
        return f"{progress.stage} {spec.title} · {100 * share:.0f} % of {megabytes:,.0f} MB"
    return f"Waking {spec.title} · {progress.stage.lower()}"


def wire_generation(
    buttons: RunButtons,
    generate: Callable[..., Generator[Any, None, None]],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    *,
    caption: gr.HTML,
    also: Sequence[Callable[..., Any]] = (),
    begin: Sequence[Callable[..., Any]] = (),
    end_on: Sequence[Callable[..., Any]] = (),
    together: int = 1,
) -> list[Any]:
    """Run ``generate`` on a click of the run button (and on events ``also``); end it on Stop.

    With ``begin``, those events start it and the button does not: what it does first is the room's.
    Events ``end_on`` end it, too.
    ``together`` visitors may run it at once; more than one only if it takes turns by itself where
    the device needs that.

    It yields ``Waiting`` first, then values for ``outputs``. The waiting is an event of its own,
    so that a visitor who waits for a download does not keep the device from everybody else.
    Whatever a visitor has made so far stays on the page when it ends, however it ends; after a
    Stop the ``caption`` says so.

    Returns:
        The two events it can end with, done and stopped, for a room that has something to add to
        either.
    """
    run, stop, waiting = buttons.run, buttons.stop, buttons.waiting
    busy = [gr.update(visible=False), gr.update(visible=True), _show_waiting("One moment")]
    ready = [gr.update(visible=True), gr.update(visible=False), ""]
    places = [run, stop, waiting]

    def wait(*args: Any) -> Iterator[Any]:
        with contextlib.closing(generate(*args)) as steps:
            for step in steps:
                if not (isinstance(step, Waiting) and step.text):
                    break  # awake: the rest is for the device's queue
                yield {waiting: _show_waiting(step.text)}
        yield {waiting: _show_waiting("Waiting for your turn")}

    def work(*args: Any) -> Iterator[Any]:
        with contextlib.closing(generate(*args)) as steps:
            for step in steps:
                if isinstance(step, Waiting):
                    yield {waiting: _show_waiting(step.text or "One moment")}
                elif isinstance(step, dict):
                    yield {**step, waiting: ""}
                else:
                    yield *step, ""

    def keep_message(function: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        # The page shows a message for seconds, and one that comes again for less.
        def generate(*args: Any) -> Iterator[Any]:
            try:
                yield from function(*args)
            except GalleryError as error:
                yield {waiting: f'<span class="failed">{html.escape(str(error))}</span>'}
                raise

        return say_errors(generate)

    def end(shown: str, caption: str) -> list[Any]:
        if "failed" in shown:
            return [*ready[:2], gr.skip(), gr.skip()]
        # Who still waits has not begun anything: the caption belongs to what was there before.
        if shown:
            return [*ready[:2], "Stopped before anything was made.", gr.skip()]
        return [*ready, f"{_LEFT.sub('', caption)} · stopped"]

    quick: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
    started = gr.on(
        [*(begin or [run.click]), *also], lambda: busy, None, places, js=_SHOW_EXHIBIT, **quick
    )
    waking = started.then(
        keep_message(wait),
        list(inputs),
        waiting,
        concurrency_id=WAKING_QUEUE,
        concurrency_limit=MOST_WAKING,
        show_progress="hidden",
        api_visibility="private",
    )
    running = waking.success(
        keep_message(work),
        list(inputs),
        [*outputs, waiting],
        concurrency_id=DEVICE_QUEUE if together == 1 else f"{DEVICE_QUEUE} for {together}",
        concurrency_limit=together,
        show_progress="minimal",
        show_progress_on=list(outputs),
        api_visibility="private",
    )
    done = running.success(lambda: ready, None, places, **quick)
    for event in (waking, running):
        # After an error; and after a Stop, once the work has really ended. Until then the page
        # would ignore another click of the run button, and what is still on its way would write
        # over the caption.
        event.failure(end, [waiting, caption], [*places, caption], **quick)
    stopped = gr.on(
        [stop.click, *end_on], lambda: None, None, None, cancels=[waking, running], **quick
    )
    return [done, stopped]


def _show_waiting(text: str) -> str:
    """The line under the buttons; like the cursor, it shows while there is a Stop."""
    return f'<span class="waking" role="status">{html.escape(text)} …</span>'


def in_turn(stream: Callable[..., Iterator[T]]) -> Callable[..., Iterator[T]]:
    """Decorate a generator that keeps the device busy: one at a time, for page and endpoints."""

    @functools.wraps(stream)
    def generate(*args: Any) -> Iterator[T]:
        with _turn, contextlib.closing(stream(*args)) as steps:  # type: ignore[type-var]
            yield from steps

    return generate


def new_file(name: str) -> Path:
    """Return the path of a file to write, where Gradio serves and clears its files."""
    return temporary_files.new_file(Path(get_upload_folder()), name)


def offer_download(label: str, path: Path) -> gr.DownloadButton:
    """A button that hands out a file and says how large it is."""
    size = path.stat().st_size
    shown = f"{size / 1e6:.1f} MB" if size > 5e5 else f"{size / 1e3:.0f} kB"
    return gr.DownloadButton(f"{label} ({shown})", value=str(path), interactive=True)


def throttle(steps: Iterable[T], seconds: float = 0.08) -> Iterator[T]:
    """Pass on the first step, then at most one per ``seconds``, and always the last.

    A page cannot show a hundred updates a second, and sending them would slow the model down.
    """
    last_sent, held = -math.inf, None
    for step in steps:
        held = step
        if time.monotonic() - last_sent >= seconds:
            yield step
            last_sent, held = time.monotonic(), None
    if held is not None:
        yield held


def add_endpoint(
    api_name: str,
    function: Callable[..., Any],
    defaults: dict[str, Any],
    outputs: Sequence[Any],
    *,
    heavy: bool = True,
) -> None:
    """Publish ``function``, which no button of the page calls, as an endpoint.

    Args:
        api_name: Name of the endpoint.
        function: Its docstring becomes the documentation of the endpoint.
        defaults: Parameters in order, each with its default value, or a component for a file.
        outputs: Hidden components that carry the results.
        heavy: Whether it runs a model. Then a few at once may wait for theirs; those that are
            awake take turns with the page, if their generators are ``in_turn``.
    """
    inputs = [
        value if isinstance(value, gr.components.Component) else _hidden_input(name, value)
        for name, value in defaults.items()
    ]
    gr.Button(visible=False).click(
        say_errors(function),
        inputs,
        list(outputs),
        api_name=api_name,
        concurrency_id=ENDPOINT_QUEUE if heavy else None,
        concurrency_limit=8,
    )


def _hidden_input(name: str, value: Any) -> Any:
    # An Api component takes any value as it is: the request, not the component, judges it.
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return Api(value, {"type": kinds[type(value)]}, label=name.replace("_", " "))


def create_list(name: str, item: dict[str, str]) -> Api:
    """A parameter of an endpoint that takes a list, empty by default; ``item`` is a JSON schema."""
    schema: Any = {"type": "array", "items": item}
    return Api([], schema, label=name.replace("_", " "))


def say_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Show a GalleryError as its message, without a traceback. Works for generators, too."""

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


@contextlib.contextmanager
def stop_on_exit() -> Iterator[threading.Event]:
    """A stop flag that is set on every way out, a closed generator included."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()
