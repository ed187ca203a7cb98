"""The cache's rules, each with a fake loader; no model, no sleeping."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shared.errors import CacheFull, ModelUnavailable
from shared.model_cache import ModelCache


class FakeLoader:
    """Loads strings. ``gate`` holds loads back, ``failures`` makes the next ones fail."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes or {"a": 10, "b": 10, "c": 10}
        self.loads: Counter[str] = Counter()
        self.failures = 0
        self.gate = threading.Event()
        self.gate.set()
        self.building = 0
        self.most_building = 0

    def expected_bytes(self, key: str) -> int:
        return self.sizes[key]

    def load(self, key: str) -> str:
        self.loads[key] += 1
        self.building += 1
        self.most_building = max(self.most_building, self.building)
        assert self.gate.wait(10)
        self.building -= 1
        if self.failures:
            self.failures -= 1
            raise ModelUnavailable(f"{key} is damaged")
        return f"model {key}"

    def measure_bytes(self, model: Any) -> int:
        return self.sizes[model.removeprefix("model ")]


def make_cache(budget: int = 20, patience: float = 0.0, **sizes: int) -> tuple[ModelCache, Any]:
    loader = FakeLoader(**sizes)
    ticks = iter(range(1_000_000))
    return ModelCache(budget, loader, clock=lambda: next(ticks), patience=patience), loader


def loaded(cache: ModelCache) -> set[str]:
    return {model["key"] for model in cache.snapshot()["models"]}


def wait_until_leased(cache: ModelCache, count: int) -> None:
    """Spin until ``count`` threads hold or await a lease."""
    while sum(model["leases"] for model in cache.snapshot()["models"]) < count:
        pass


def test_second_lease_is_a_hit() -> None:
    cache, loader = make_cache()
    for _ in range(2):
        with cache.lease("a") as model:
            assert model == "model a"
    assert loader.loads["a"] == 1
    assert cache.snapshot()["hits"] == 1


def test_eight_threads_on_one_key_make_one_load() -> None:
    cache, loader = make_cache()
    loader.gate.clear()

    def use(_: int) -> str:
        with cache.lease("a") as model:
            return str(model)

    with ThreadPoolExecutor(8) as pool:
        answers = pool.map(use, range(8))
        wait_until_leased(cache, 8)
        loader.gate.set()
    assert list(answers) == ["model a"] * 8
    assert loader.loads["a"] == 1


def test_all_waiters_get_the_error_and_the_next_lease_retries() -> None:
    cache, loader = make_cache()
    loader.gate.clear()
    loader.failures = 1

    def use(_: int) -> str:
        try:
            with cache.lease("a"):
                return "loaded"
        except ModelUnavailable as error:
            return str(error)

    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(use, range(4))
        wait_until_leased(cache, 4)
        loader.gate.set()
    assert list(answers) == ["a is damaged"] * 4
    assert loaded(cache) == set()
    assert use(0) == "loaded"


def test_only_one_model_is_built_at_a_time() -> None:
    cache, loader = make_cache(budget=100)

    def use(key: str) -> None:
        with cache.lease(key):
            pass

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(use, "abc"))
    assert loader.most_building == 1


def test_a_hit_does_not_wait_for_another_load() -> None:
    cache, loader = make_cache()
    with cache.lease("a"):
        pass
    loader.gate.clear()
    slow = threading.Thread(target=lambda: cache.lease("b").__enter__())
    slow.start()
    wait_until_leased(cache, 1)
    with cache.lease("a") as model:  # would hang here if it waited
        assert model == "model a"
    loader.gate.set()
    slow.join()


def test_least_recently_used_goes_first() -> None:
    cache, _ = make_cache(budget=20)
    for key in ("a", "b", "a", "c"):
        with cache.lease(key):
            pass
    assert loaded(cache) == {"a", "c"}


def test_a_leased_model_is_never_evicted() -> None:
    cache, _ = make_cache(budget=20)
    with cache.lease("a"):
        for key in ("b", "c"):
            with cache.lease(key):
                pass
        assert loaded(cache) == {"a", "c"}


def test_no_room_names_what_is_in_use() -> None:
    cache, _ = make_cache(budget=20)
    with (
        cache.lease("a"),
        cache.lease("b"),
        pytest.raises(CacheFull, match=r"a \(0 MB\), b \(0 MB\) are in use"),
        cache.lease("c"),
    ):
        pass
    with cache.lease("c"):  # and the next request works
        pass


def test_a_load_waits_for_room_until_a_lease_ends() -> None:
    cache, _ = make_cache(budget=10, patience=10)
    entered = threading.Event()

    def use_b() -> None:
        with cache.lease("b"):
            entered.set()

    with cache.lease("a"):
        waiter = threading.Thread(target=use_b)
        waiter.start()
        wait_until_leased(cache, 2)
        assert not entered.is_set()
    waiter.join()
    assert entered.is_set()
    assert loaded(cache) == {"b"}


def test_a_model_larger_than_the_budget_is_refused_at_once() -> None:
    cache, loader = make_cache(budget=5, patience=60)
    with pytest.raises(CacheFull, match="Choose a smaller model"), cache.lease("a"):
        pass
    assert not loader.loads


def test_measured_bytes_replace_the_expected_ones() -> None:
    cache, loader = make_cache(budget=20)
    with cache.lease("a"):
        pass
    loader.measure_bytes = lambda model: 15
    with cache.lease("b"):
        pass
    assert loaded(cache) == {"b"}
    assert cache.snapshot()["used_bytes"] == 15


def test_an_exception_in_the_body_releases_the_lease() -> None:
    cache, _ = make_cache()
    with pytest.raises(RuntimeError, match="boom"), cache.lease("a"):
        raise RuntimeError("boom")
    assert cache.unload("a")
    assert loaded(cache) == set()


def test_unload_refuses_while_leased() -> None:
    cache, _ = make_cache()
    with cache.lease("a"):
        assert not cache.unload("a")
    assert cache.unload("a")


def test_many_threads_leave_the_books_balanced() -> None:
    cache, loader = make_cache(budget=20, patience=10)

    def use(number: int) -> None:
        with cache.lease("abc"[number % 3]) as model:
            assert model == "model " + "abc"[number % 3]
            assert cache.snapshot()["used_bytes"] <= 20

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(300)))
    counts = cache.snapshot()
    assert counts["hits"] + counts["misses"] == 300
    assert counts["loads"] == sum(loader.loads.values()) == counts["misses"]
    assert all(model["leases"] == 0 for model in counts["models"])
