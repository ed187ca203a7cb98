from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest


@pytest.fixture
def small_heap() -> Iterator[None]:
    """Keep the garbage collector, which the cache calls, from walking all that tests import."""
    gc.freeze()
    yield
    gc.unfreeze()
