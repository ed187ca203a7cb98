"""A room of the gallery, and how all rooms run models. Without Gradio."""

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
POLL_SECONDS = 0.25  # between checks whether a waiting request was closed


@dataclass(frozen=True)
class Waiting:
    """Yielded before the first step of a run: what it waits for, for the visitor."""

    text: str


@dataclass(frozen=True)
class _Job:
    """A call of a generator. On ZeroGPU it is pickled."""

    generate: Callable[..., Iterator[Any]]
    request: Any
    seconds: float
    every: float


class Room:
    """The models of one room, and how to run them.

    Attributes:
        task: The room: text, image, music or latent.
        cache: Leases models.
        settings: Settings of the process.
        catalog: The models of all rooms.
        turns: Decides who may run now; shared by all rooms.
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
        self.turns = Turns() if turns is None else turns  # one without requests is falsy
        self.holder = f"the {task} room"
        # On ZeroGPU this must exist before the page is launched.
        self._stream = on_gpu(catalog, lambda job: job.seconds)(self._stream_here)

    def spec(self, model: str) -> ModelSpec:
        """Return the catalogue entry of a model of this room. Raises UnknownModel."""
        return self.catalog.get(model, self.task)

    def engine(self, model: str) -> ModelSpec:
        """Return the catalogue entry that runs ``model`` fastest here: its own or its engine's."""
        return self.catalog.get(self.catalog.engine_key(self.spec(model).key))

    def recipe(self, model: str, request: Request) -> dict[str, Any]:
        """Return the recipe of ``request``, whose seed must be drawn, with ``model``.

        Fields that have no effect are left out.
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

        It first loads the models, then waits for its turn. Meanwhile it yields ``Waiting`` several
        times a second, so that it can be closed at any time. ``stop`` is set however it ends.
        Models are leased only when the turn has come: a waiting request pins no memory.

        Args:
            generate: Module-level function or a ``partial`` of one, since ZeroGPU pickles it.
            models: Keys in the catalogue.
            request: Passed to ``generate`` after the models.
            seconds: Estimated duration on a GPU, for the quota of ZeroGPU.
            every: Minimum seconds between two steps; the last step is always yielded.

        Raises:
            GalleryError: A model cannot be loaded, or the request cannot be fulfilled.
        """
        keys = (models,) if isinstance(models, str) else tuple(models)
        yield from self._load(keys)
        with self.turns.join(self._count_slots(keys)) as queued:
            while before := queued.wait(POLL_SECONDS):
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

    def _count_slots(self, keys: Sequence[str]) -> Counter[str]:
        """Return the slots needed by resource: rows of a batched model, else the device."""
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
    """Wrap ``function(*models, request)`` for ``Room.run``: one step, which is its result."""
    return partial(_yield_once, function)


def _yield_once(function: Callable[..., Step], *args: Any) -> Iterator[Step]:
    *models_and_request, _ = args
    yield function(*models_and_request)


def show_loading(title: str, progress: Progress) -> str:
    """Describe the progress of a load, such as "Downloading SmolLM2 · 43 % of 270 MB"."""
    if progress.total:
        share, megabytes = progress.done / progress.total, progress.total / 1e6
        return f"{progress.stage} {title} · {100 * share:.0f} % of {megabytes:,.0f} MB"
    return f"Loading {title} · {progress.stage.lower()}"


def throttle(steps: Iterable[Step], seconds: float) -> Iterator[Step]:
    """Yield the first step, then at most one per ``seconds``, and always the last.

    More updates than a page can show would slow the model down.
    """
    last_sent, pending = -math.inf, None
    for step in steps:
        pending = step
        if time.monotonic() - last_sent >= seconds:
            yield step
            last_sent, pending = time.monotonic(), None
    if pending is not None:
        yield pending


@contextlib.contextmanager
def stop_on_exit() -> Iterator[threading.Event]:
    """Give a stop flag that is set on exit, also when a generator is closed."""
    stop = threading.Event()
    try:
        yield stop
    finally:
        stop.set()
