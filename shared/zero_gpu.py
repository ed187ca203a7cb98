"""The eager profile of ZeroGPU Spaces, which lend a graphics card for seconds at a time.

On other machines models are loaded when first asked for, and nothing here has any effect, except
that ``preload`` keeps the models that the operator named.

ZeroGPU forks the process for each use of the card and runs one function in the child. Hence:

* Models go to ``cuda`` before the page is launched, in the main thread: only there does the
  ``spaces`` package stand in for the card. What is loaded later runs on the CPU.
* What crosses the fork is pickled. So not a whole event is sent, with its components, states and
  pages of HTML, but only the generator beneath it that runs the model: plain requests go in, plain
  steps come out. A wrong request costs the visitor nothing, as it is refused before the fork.
* A stop flag does not cross the fork. It need not: the generator makes its own in the child, and
  closing it here makes ``spaces`` close it there after the step under way. ``throttle`` belongs
  inside it as well, or every step would be pickled only to be left out.
* An error that is not Gradio's own would reach the visitor as "ZeroGPU worker error". Ours come
  back as values and are raised here.
* The child has the cache as it was when it was forked. Its leases are its own, and so
  ``cache_snapshot`` does not count them.
* Threads that the generator starts live in the child and are fine.
"""

from __future__ import annotations

import contextlib
import functools
import math
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from shared.catalog import Catalog, move_modules
from shared.errors import GalleryError
from shared.model_cache import ModelCache
from shared.settings import Settings

ACTIVE = os.environ.get("SPACES_ZERO_GPU", "").lower() in {"1", "t", "true"}  # as `spaces` reads it
if ACTIVE:
    import spaces  # before anything touches CUDA: it stands in for the card until one is lent

Step = TypeVar("Step")
Stream = Callable[[Sequence[str], Any], Iterator[Step]]


def adapt(settings: Settings) -> Settings:
    """Return the settings that ZeroGPU needs; elsewhere ``settings`` as they are.

    Everything is loaded in host memory; ``preload`` then moves its models to the card.
    """
    if not ACTIVE:
        return settings
    worth_it = [spec.key for spec in Catalog(settings) if spec.bundled and spec.gpu]
    changes = {"device": "cpu", "preload": settings.preload or tuple(worth_it)}
    return settings.model_copy(update=changes)


def preload(cache: ModelCache, catalog: Catalog) -> None:
    """Load and keep the models that ``GALLERY_PRELOAD`` names; on ZeroGPU, move them to the card.

    Raises:
        GalleryError: Some cannot be loaded; the others are.
    """
    failures = []
    for key in catalog.settings.preload:
        try:
            cache.pin(key)
        except GalleryError as error:
            failures.append(str(error))
            continue
        if runs_on_gpu(catalog, key):
            import torch

            if torch.cuda.is_available():
                with cache.lease(key, "the gallery") as model:
                    move_modules(model, "cuda")
    if failures:
        raise GalleryError(" ".join(failures))


def runs_on_gpu(catalog: Catalog, key: str) -> bool:
    """Whether ``key`` runs on a card that ZeroGPU lends, and so costs the visitor's quota."""
    return ACTIVE and key in catalog.settings.preload and catalog.get(key).gpu


def on_gpu(
    catalog: Catalog, seconds: Callable[[Any], float]
) -> Callable[[Stream[Step]], Stream[Step]]:
    """Decorate ``stream(keys, request)``: on ZeroGPU it runs where its models are.

    Args:
        catalog: Knows which models are worth a graphics card.
        seconds: How long the card is needed for a request. The visitor's quota is charged with
            it beforehand, and the work is cut off when it is over.
    """

    def decorate(stream: Stream[Step]) -> Stream[Step]:
        if not ACTIVE:
            return stream

        def carry_errors(keys: Sequence[str], request: Any) -> Iterator[Step | GalleryError]:
            try:
                yield from stream(keys, request)
            except GalleryError as error:
                yield error

        lent = spaces.GPU(duration=lambda _, request: math.ceil(seconds(request)))(carry_errors)

        @functools.wraps(stream)
        def choose(keys: Sequence[str], request: Any) -> Iterator[Step]:
            if not any(runs_on_gpu(catalog, key) for key in keys):
                yield from stream(keys, request)
                return
            with contextlib.closing(lent(keys, request)) as steps:
                for step in steps:
                    if isinstance(step, GalleryError):
                        raise step
                    yield step

        return choose

    return decorate
