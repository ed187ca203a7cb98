"""Stands in for the ``spaces`` package of ZeroGPU, with its rules but without its card.

Each use is written down, with the seconds it asks for, in the file that ``STUB_SPACES_LOG`` names.
"""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Task = Callable[..., Iterator[Any]]


def GPU(*, duration: Callable[..., int]) -> Callable[[Task], Task]:  # noqa: N802
    """Decorate a generator; what goes in and comes out is pickled, as on the way to a child."""

    def decorate(task: Task) -> Task:
        @functools.wraps(task)
        def lent(*args: Any) -> Iterator[Any]:
            with Path(os.environ["STUB_SPACES_LOG"]).open("a") as log:
                print(duration(*args), file=log)
            try:
                for step in task(*_copy(args)):
                    yield _copy(step)
            except Exception as error:  # no other error than Gradio's comes back whole
                raise RuntimeError(type(error).__name__) from None

        return lent

    return decorate


def gradio_auto_wrap(task: Any) -> Any:
    """Gradio calls this on every event if it finds the package."""
    return task


def _copy(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))
