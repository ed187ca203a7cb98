"""Support for ZeroGPU Spaces, where a process gets a GPU for seconds at a time.

Elsewhere only ``preload`` has an effect.

ZeroGPU forks the process for each use of the GPU and runs one function in the child. Hence:

* Models are moved to ``cuda`` in the main thread, before the page is launched: only there does the
  ``spaces`` package emulate CUDA. Models that are loaded later run on the CPU.
* Arguments and results are pickled. So only the generator that runs the model is decorated, not the
  whole event with its components, states and HTML. Requests are validated before the fork, so a
  wrong one does not cost the visitor's quota.
* A stop flag does not reach the child. The generator makes its own there, and closing the iterator
  here makes ``spaces`` close the generator in the child after the current step. ``throttle`` runs
  in the child as well, since each step that is sent is pickled.
* Visitors would read "ZeroGPU worker error" for any error but Gradio's own. So a ``GalleryError``
  is sent as a value and raised in the parent.
* The child has a copy of the cache. ``cache_snapshot`` does not count the child's leases.
* Threads that the generator starts run in the child.
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
    import spaces  # must come before any use of CUDA, which it replaces

Step = TypeVar("Step")
Stream = Callable[[Sequence[str], Any], Iterator[Step]]


def adapt(settings: Settings) -> Settings:
    """Return the settings that ZeroGPU needs; elsewhere ``settings`` unchanged.

    Models are loaded to host memory; ``preload`` then moves its models to the GPU.
    """
    if not ACTIVE:
        return settings
    default = [spec.key for spec in Catalog(settings) if spec.bundled and spec.gpu]
    changes = {"device": "cpu", "preload": settings.preload or tuple(default)}
    return settings.model_copy(update=changes)


def preload(cache: ModelCache, catalog: Catalog) -> None:
    """Load and pin the models of ``GALLERY_PRELOAD``; on ZeroGPU, move them to the GPU.

    Raises:
        GalleryError: Some cannot be loaded; the others are loaded nevertheless.
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
    """Whether ``key`` runs on a ZeroGPU, which uses up the visitor's quota."""
    return ACTIVE and key in catalog.settings.preload and catalog.get(key).gpu


def on_gpu(
    catalog: Catalog, seconds: Callable[[Any], float]
) -> Callable[[Stream[Step]], Stream[Step]]:
    """Decorate ``stream(keys, request)`` to run on a ZeroGPU if a model of ``keys`` does.

    Args:
        catalog: The models.
        seconds: Estimated duration of a request, in seconds. It is charged to the visitor's quota
            in advance, and the work is cut off after it.
    """

    def decorate(stream: Stream[Step]) -> Stream[Step]:
        if not ACTIVE:
            return stream

        def carry_errors(keys: Sequence[str], request: Any) -> Iterator[Step | GalleryError]:
            try:
                yield from stream(keys, request)
            except GalleryError as error:
                yield error

        run_on_gpu = spaces.GPU(duration=lambda _, request: math.ceil(seconds(request)))(
            carry_errors
        )

        @functools.wraps(stream)
        def choose(keys: Sequence[str], request: Any) -> Iterator[Step]:
            if not any(runs_on_gpu(catalog, key) for key in keys):
                yield from stream(keys, request)
                return
            with contextlib.closing(run_on_gpu(keys, request)) as steps:
                for step in steps:
                    if isinstance(step, GalleryError):
                        raise step
                    yield step

        return choose

    return decorate
