"""A room of the gallery and its one way to run a model. No Gradio here."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from shared.catalog import Catalog, ModelSpec, Task
from shared.limits import DEVICE
from shared.loader import Progress
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.requests import Request
from shared.turns import Turns
from shared.zero_gpu import on_gpu

Step = TypeVar("Step")
POLL_SECONDS = 0.25  # between two looks whether the request was closed while it waits for its turn


@dataclass(frozen=True)
class Waiting:
    """What a run yields before its first step: what it waits for, in plain words."""

    text: str


@dataclass(frozen=True)
class _Job:
    """A call of a generator; on ZeroGPU it is pickled on its way to the card."""

    generate: Callable[..., Iterator[Any]]
    request: Any
    seconds: float
    every: float


class Room:
    """The models of one room and what it takes to run them.

    Attributes:
        task: The room: text, image, music or latent.
        cache: Where models are leased.
        settings: Those of the process.
        catalog: Which models there are.
        turns: Who may run now; all rooms share it.
    """

    def __init__(
        self,
        task: Task,
        cache: ModelCache,
        catalog: Catalog,
        turns: Turns | None = None,
    ) -> None:
        self.task, self.cache, self.catalog = task, cache, catalog
        self.settings = catalog.settings
        self.turns = turns or Turns()
        self.holder = f"the {task} room"
        # On ZeroGPU this must exist before the page is launched.
        self._stream = on_gpu(catalog, lambda job: job.seconds)(self._stream_here)

    def spec(self, model: str) -> ModelSpec:
        """Return the entry of a model of this room. Raises UnknownModel."""
        return self.catalog.get(model, self.task)

    def engine(self, model: str) -> ModelSpec:
        """Return the entry of what generates fastest with the weights of ``model``."""
        return self.catalog.get(self.catalog.engine_key(self.spec(model).key))

    def recipe(self, model: str, request: Request) -> dict[str, Any]:
        """Write the recipe of what ``model`` makes of ``request``, whose seed is drawn.

        Settings that the request does not use are left out.
        """
        recipe = make_recipe(self.engine(model), request, self.settings)
        for name in request.unused:
            del recipe["settings"][name]
        return recipe

    def run(
        self,
        generate: Callable[..., Iterator[Step]],
        models: str | Sequence[str],
        request: Any,
        *,
        seconds: float = 10.0,
        every: float = 0.08,
    ) -> Iterator[Step | Waiting]:
        """Run ``generate(*models, request, stop)`` and yield its steps.

        First the models are loaded, then all slots that they need are taken. While it waits for
        either it yields ``Waiting`` several times a second, so that it can be closed at any time.
        ``stop`` is set on every way out. Models are leased only after the turn has come: a request
        that waits keeps no memory.

        Args:
            generate: Function of a module, or a ``partial`` of one: ZeroGPU pickles it.
            models: Keys in the catalogue.
            request: What ``generate`` gets after the models.
            seconds: How long a graphics card is needed, for the quota of ZeroGPU.
            every: Seconds between two steps at least; the last always comes.

        Raises:
            GalleryError: A model cannot be loaded, or the request cannot be fulfilled.
        """
        keys = (models,) if isinstance(models, str) else tuple(models)
        yield from self._load(keys)
        with self.turns.join(self._needs(keys)) as place:
            while before := place.wait(POLL_SECONDS):
                yield Waiting(f"Waiting for your turn · {before} before you")
            yield from self._load(keys)  # they may have been evicted in the meantime
            yield Waiting("One moment")
            job = _Job(generate, request, seconds, every)
            with contextlib.closing(self._stream(keys, job)) as steps:  # type: ignore[type-var]
                yield from steps

    def finish(
        self,
        generate: Callable[..., Iterator[Step]],
        models: str | Sequence[str],
        request: Any,
        **options: Any,
    ) -> Step:
        """Run ``generate`` to its end, as ``run`` does, and return the last step."""
        *_, last = self.run(generate, models, request, **options)
        if isinstance(last, Waiting):
            raise RuntimeError("A generator ended before its first step.")
        return last

    def _load(self, keys: Sequence[str]) -> Iterator[Waiting]:
        for key in keys:
            with contextlib.closing(self.cache.prepare(key)) as loading:
                for progress in loading:
                    yield Waiting(show_loading(self.catalog.get(key).title, progress))

    def _needs(self, keys: Sequence[str]) -> Counter[str]:
        """Slots by resource: rows of models that take steps for all together, else the device."""
        needs = Counter[str]()
        for key in keys:
            if self.catalog.get(key).is_batched:
                needs[key] += 1
            else:
                needs[DEVICE] = 1
        return needs

    def _stream_here(self, keys: Sequence[str], job: _Job) -> Iterator[Any]:
        with contextlib.ExitStack() as stack:
            models = [stack.enter_context(self.cache.lease(key, self.holder)) for key in keys]
            stop = stack.enter_context(stop_on_exit())
            yield from throttle(job.generate(*models, job.request, stop), job.every)


def once(function: Callable[..., Step]) -> Callable[..., Iterator[Step]]:
    """Make a generator for ``Room.run`` of ``function(*models, request)``: one step, its result."""
    return partial(_yield_once, function)


def _yield_once(function: Callable[..., Step], *args: Any) -> Iterator[Step]:
    *models_and_request, _ = args
    yield function(*models_and_request)


def show_loading(title: str, progress: Progress) -> str:
    """Say in a line how far a load is, such as "Downloading SmolLM2 · 43 % of 270 MB"."""
    if progress.total:
        share, megabytes = progress.done / progress.total, progress.total / 1e6
        return f"{progress.stage} {title} · {100 * share:.0f} % of {megabytes:,.0f} MB"
    return f"Loading {title} · {progress.stage.lower()}"


def throttle(steps: Iterable[Step], seconds: float) -> Iterator[Step]:
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


@contextlib.contextmanager
def stop_on_exit() -> Iterator[threading.Event]:
    """A stop flag that is set on every way out, a closed generator included."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()
