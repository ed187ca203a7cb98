"""A pool of worker processes for libraries that hold the GIL for long.

In the main process they would stall other visitors' pages and running models.
"""

from __future__ import annotations

import multiprocessing.util
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from shared.errors import GalleryError

P = ParamSpec("P")
T = TypeVar("T")

_WORKERS = 2
_IDLE_SECONDS = 600  # idle workers end after this time
_used = threading.Event()
# The only thread that uses loky, which keeps one pool per calling thread.
_owner = ThreadPoolExecutor(1, "helper processes")


def start() -> None:
    """Start the workers, which takes half a second, without waiting for them."""
    _owner.submit(_submit, int)


def stop() -> None:
    """Kill the workers. To be called only just before this process ends."""
    if _used.is_set():
        _owner.submit(lambda: _pool().shutdown(wait=True, kill_workers=True)).result()
        # Removes semaphores, which would cause warnings. Python does it at a normal exit, but the
        # gallery ends with os._exit.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call ``function`` in a worker; arguments and result are pickled.

    The worker imports the module of the function, so that should import quickly.
    """
    return _owner.submit(lambda: _submit(function, *args, **kwargs)).result()


def wait(future: Future[T]) -> T:
    """Return the result of a ``submit``.

    Raises:
        GalleryError: The worker was killed, for example for its memory.
        Exception: Any that the function raised.
    """
    from loky import BrokenProcessPool

    try:
        return future.result()
    except BrokenProcessPool as error:
        raise GalleryError(
            "A helper process was ended from outside, perhaps because memory ran out. Try again."
        ) from error


def _submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    future: Future[T] = _pool().submit(function, *args, **kwargs)
    return future


def _pool() -> Any:
    """Return the executor, a new one if its workers have ended or were killed."""
    from loky import get_reusable_executor

    _used.set()
    return get_reusable_executor(
        _WORKERS, timeout=_IDLE_SECONDS, initializer=_end_with_parent, initargs=(os.getpid(),)
    )


def _end_with_parent(parent: int) -> None:
    """End this worker when its parent has ended, even if the parent was killed."""
    import psutil

    def wait_and_exit(process: psutil.Process) -> None:
        process.wait()
        os._exit(0)

    threading.Thread(target=wait_and_exit, args=[psutil.Process(parent)], daemon=True).start()
