"""A loader of fake models and a clock that a test sets, for the tests of the cache."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from shared.errors import ModelUnavailable
from shared.loader import Loader, Report
from shared.model_cache import ModelCache


class FakeModel:
    """A model that knows its key and its device."""

    def __init__(self, key: str, device: str) -> None:
        self.key = key
        self.device = device


class FakeLoader(Loader):
    """Loads ``FakeModel``; attributes control it and record calls."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self.sizes = dict(sizes)
        self.measured: dict[str, Mapping[Hashable, int]] = {}  # by default one piece per model
        self.places: Sequence[str] = ("cpu",)
        self.errors: list[Exception | None] = []  # of the next loads; None for success
        self.gate = threading.Event()  # loads wait while it is not set
        self.gate.set()
        self.arrived = threading.Event()  # a load has reached the gate
        self.fetches: Counter[str] = Counter()
        self.loads: Counter[str] = Counter()
        self.moves: list[tuple[str, str]] = []
        self.building = 0
        self.most_building = 0

    def expected_bytes(self, key: str) -> int:
        return self.sizes[key]

    def devices(self, key: str) -> Sequence[str]:
        return self.places

    def fetch(self, key: str, report: Report) -> None:
        self.fetches[key] += 1

    def load(self, key: str, files: Any, device: str, report: Report) -> FakeModel:
        self.loads[key] += 1
        self.building += 1
        self.most_building = max(self.most_building, self.building)
        try:
            report("Loading", 5, 10)
            self.arrived.set()
            assert self.gate.wait(10)
            report("Loading", 10, 10)
            if self.errors and (error := self.errors.pop(0)):
                raise error
        finally:
            self.building -= 1
        return FakeModel(key, device)

    def measure(self, model: FakeModel) -> Mapping[Hashable, int]:
        return self.measured.get(model.key, {(model.key, model.device): self.sizes[model.key]})

    def may_park(self, device: str) -> bool:
        return device.startswith("gpu")

    def move(self, model: FakeModel, device: str) -> None:
        self.moves.append((model.key, device))
        model.device = device


class FakeClock:
    """Time that a test sets; each call adds a microsecond, so that calls are ordered."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now


def damaged(key: str) -> ModelUnavailable:
    return ModelUnavailable(f"{key} is damaged")


def make_cache(
    budget: int = 20, *, patience: float = 0.0, grace: float = 0.0, **options: Any
) -> tuple[ModelCache, FakeLoader, FakeClock]:
    """Make a cache for models a, b, c of 10 bytes (or ``sizes``), by default without waiting."""
    loader = FakeLoader(options.pop("sizes", {"a": 10, "b": 10, "c": 10}))
    clock = FakeClock()
    cache = ModelCache(budget, loader, clock=clock, patience=patience, grace=grace, **options)
    return cache, loader, clock


def use(cache: ModelCache, *keys: str) -> None:
    """Lease each of ``keys`` in turn."""
    for key in keys:
        with cache.lease(key) as model:
            assert model.key == key


def states(cache: ModelCache) -> dict[str, str]:
    """Return the state of each model by key."""
    return {model["key"]: model["state"] for model in cache.snapshot()["models"]}


def find(cache: ModelCache, key: str) -> dict[str, Any]:
    """Return the entry of ``key`` in the snapshot."""
    return next(model for model in cache.snapshot()["models"] if model["key"] == key)


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until ``holds`` returns true; fail after ten seconds."""
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.001)  # leaves the core to the other threads


def wait_for_waiters(cache: ModelCache, count: int) -> None:
    """Wait until at least ``count`` visitors wait."""
    wait_until(lambda: cache.snapshot()["waiters"] >= count)
