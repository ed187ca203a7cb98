"""Visitors come, wait, leave and stay in any order that hypothesis can think of."""

from __future__ import annotations

import threading
import weakref
from collections import Counter
from collections.abc import Generator, Hashable, Mapping, Sequence
from queue import SimpleQueue
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from shared.errors import GalleryError
from shared.loader import Loader, Progress, Report
from shared.model_cache import ModelCache
from tests.unit.cache_fakes import FakeClock, FakeModel, damaged

pytestmark = pytest.mark.usefixtures("small_heap")

KEYS = ("a", "b", "c", "d", "e")
SIZES = {"a": 10, "b": 10, "c": 20, "d": 30, "e": 10}
BUDGET = {"cpu": 30, "gpu": 30}
GRACE = 5.0
keys = st.sampled_from(KEYS)
any_visitor = st.integers(0, 99)


class Ledger(Loader):
    """Loads on command, and counts independently of the cache; c and d share a piece."""

    def __init__(self) -> None:
        self.outcomes: SimpleQueue[type[Exception] | None] = SimpleQueue()
        self.alive: weakref.WeakSet[FakeModel] = weakref.WeakSet()
        self.under_way: Counter[str] = Counter()
        self.faults: list[str] = []

    def expected_bytes(self, key: str) -> int:
        return SIZES[key]

    def devices(self, key: str) -> Sequence[str]:
        return ("gpu", "cpu") if key in "ab" else ("cpu",)

    def load(self, key: str, files: Any, device: str, report: Report) -> FakeModel:
        self.under_way[key] += 1
        if self.under_way.total() > 1:
            self.faults.append("two models were built at once")
        if any(model.key == key for model in self.alive):
            self.faults.append(f"{key} was loaded a second time")
        try:
            outcome = self.outcomes.get()
            report("Loading", 0, 0)
            if outcome:
                raise damaged(key) if outcome is GalleryError else outcome()
            model = FakeModel(key, device)
            self.alive.add(model)
            return model
        finally:
            self.under_way[key] -= 1

    def measure(self, model: FakeModel) -> Mapping[Hashable, int]:
        shared: dict[Hashable, int] = {"encoder": 5} if model.key in "cd" else {}
        own = SIZES[model.key] - sum(shared.values())
        return {**shared, (model.key, model.device): own}

    def may_park(self, device: str) -> bool:
        return device == "gpu"

    def move(self, model: FakeModel, device: str) -> None:
        model.device = device


class Visitor(threading.Thread):
    """Requests a lease and keeps it until ``leave`` is set."""

    def __init__(self, cache: ModelCache, key: str, faults: list[str]) -> None:
        super().__init__(daemon=True)
        self.cache, self.key, self.faults = cache, key, faults
        self.holds = threading.Event()
        self.leave = threading.Event()
        self.start()

    def run(self) -> None:
        try:
            with self.cache.lease(self.key) as model:
                self.holds.set()
                self.leave.wait()
                if model is None or model.key != self.key:
                    self.faults.append(f"{self.key} was mixed up")
                if self.key not in loaded(self.cache):
                    self.faults.append(f"{self.key} was dropped while it was leased")
        except (GalleryError, MemoryError):
            pass


def loaded(cache: ModelCache) -> set[str]:
    return {model["key"] for model in cache.snapshot()["models"] if model["loaded"]}


class CacheMachine(RuleBasedStateMachine):
    """The rules are what can happen; the invariants are what must hold whatever happens."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock()
        self.ledger = Ledger()
        self.cache = ModelCache(
            BUDGET["cpu"],
            self.ledger,
            device_budget=lambda device: BUDGET[device],
            clock=self.clock,
            patience=0.02,
            grace=GRACE,
        )
        self.visitors: list[Visitor] = []
        self.watchers: list[Generator[Progress, None, None]] = []

    @rule(key=keys)
    def lease(self, key: str) -> None:
        self.visitors.append(Visitor(self.cache, key, self.ledger.faults))

    @rule(which=any_visitor)
    def release(self, which: int) -> None:
        if self.visitors:
            self.visitors[which % len(self.visitors)].leave.set()

    @rule(key=keys)
    def watch(self, key: str) -> None:
        watcher = self.cache.prepare(key)
        next(watcher, None)
        self.watchers.append(watcher)

    @rule(which=any_visitor)
    def stop_watching(self, which: int) -> None:
        if self.watchers:
            self.watchers.pop(which % len(self.watchers)).close()

    @rule()
    def a_load_succeeds(self) -> None:
        self.ledger.outcomes.put(None)

    @rule()
    def a_load_fails(self) -> None:
        self.ledger.outcomes.put(GalleryError)

    @rule()
    def memory_runs_out(self) -> None:
        self.ledger.outcomes.put(MemoryError)

    @rule(key=keys)
    def unload(self, key: str) -> None:
        if self.cache.unload(key):
            assert not any(v.holds.is_set() and v.is_alive() for v in self.visitors_of(key))

    @rule()
    def time_passes(self) -> None:
        self.clock.now += 2 * GRACE

    def visitors_of(self, key: str) -> list[Visitor]:
        return [v for v in self.visitors if v.key == key and not v.leave.is_set()]

    @invariant()
    def no_fault_was_noticed(self) -> None:
        assert not self.ledger.faults

    @invariant()
    def the_sizes_are_within_the_budget(self) -> None:
        for device in self.cache.snapshot()["devices"]:
            assert device["used_bytes"] <= device["budget_bytes"]

    def teardown(self) -> None:
        """Let everybody leave: all must be able to, and every miss must have had its end."""
        for watcher in self.watchers:
            watcher.close()
        for visitor in self.visitors:
            visitor.leave.set()
        # One for each visitor, and one for each load that was begun for somebody who has left.
        for _ in range(len(self.visitors) + self.cache.snapshot()["misses"]):
            self.ledger.outcomes.put(None)
        for visitor in self.visitors:
            visitor.join(10)
            assert not visitor.is_alive(), f"a visitor of {visitor.key} was lost"
        self.clock.now += 2 * GRACE
        for _ in range(self.cache.snapshot()["misses"]):  # loads that nobody waits for any more
            self.ledger.outcomes.put(None)
        self.cache.close()
        counts = self.cache.snapshot()
        assert counts["misses"] == counts["loads"] + counts["failures"] + counts["cancelled"]
        assert counts["used_bytes"] == counts["waiters"] == 0
        assert not self.ledger.faults


TestCacheMachine = CacheMachine.TestCase
TestCacheMachine.settings = settings(
    max_examples=60,  # 50 found the same two of five planted faults as 200
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
