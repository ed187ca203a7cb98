"""Work that would hold up everybody else, in processes of its own.

A library that computes for long without letting go of the interpreter stops all that goes on in its
process: other visitors' pages, and models that write. Such work goes here.
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
_IDLE_SECONDS = 600  # after which the processes end
_used = threading.Event()
# loky keeps a pool for each thread that asks for one; so a single thread does.
_owner = ThreadPoolExecutor(1, "helper processes")


def start() -> None:
    """Let the processes start, which takes half a second, without waiting for them."""
    _owner.submit(_submit, int)


def stop() -> None:
    """End the processes, whatever they are at. Only the end of this process may follow."""
    if _used.is_set():
        _owner.submit(lambda: _pool().shutdown(wait=True, kill_workers=True)).result()
        # Python would do it when it ends, but the gallery may not wait for that: semaphores that
        # are left over are complained of.
        multiprocessing.util._run_finalizers(0)  # type: ignore[attr-defined]


def submit(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
    """Call ``function`` in another process; what it takes and returns is pickled.

    The process imports the module of the function: let that be a light one.
    """
    return _owner.submit(lambda: _submit(function, *args, **kwargs)).result()


def wait(future: Future[T]) -> T:
    """Return what ``submit`` promised.

    Raises:
        GalleryError: The system has ended the process.
        Exception: Whatever the function raised.
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
    """Return the processes: new ones if they have ended, whatever the reason."""
    from loky import get_reusable_executor

    _used.set()
    return get_reusable_executor(
        _WORKERS, timeout=_IDLE_SECONDS, initializer=_watch, initargs=(os.getpid(),)
    )


def _watch(parent: int) -> None:
    """Let this process end when its parent has, however that came."""
    import psutil

    def watch(process: psutil.Process) -> None:
        process.wait()
        os._exit(0)

    threading.Thread(target=watch, args=[psutil.Process(parent)], daemon=True).start()
