"""The cache's rules, each with a fake loader and a fake clock; no model, no sleeping."""

from __future__ import annotations

import contextlib
import gc
import os
import re
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.errors import CacheClosed, CacheFull, ModelUnavailable, OutOfMemory
from shared.model_cache import ModelCache
from tests.unit.cache_fakes import (
    FakeModel,
    damaged,
    find,
    make_cache,
    states,
    use,
    wait_for_waiters,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("small_heap")


@contextlib.contextmanager
def in_thread(function: object, *args: object) -> Iterator[threading.Thread]:
    """Run ``function`` beside the body, which must let it end."""
    thread = threading.Thread(target=function, args=args)  # type: ignore[arg-type]
    thread.start()
    yield thread
    thread.join(10)
    assert not thread.is_alive()


# Leases and single flight


def test_second_lease_is_a_hit() -> None:
    cache, loader, _ = make_cache()
    use(cache, "a", "a")
    assert loader.loads["a"] == 1
    assert (cache.snapshot()["hits"], cache.snapshot()["misses"]) == (1, 1)


def test_eight_threads_on_one_key_make_one_load() -> None:
    cache, loader, _ = make_cache()
    loader.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(use, cache, "a")
        wait_for_waiters(cache, 8)
        loader.gate.set()
    assert loader.loads["a"] == 1
    assert cache.snapshot()["joins"] == 7


def test_all_waiters_get_the_error_and_the_next_lease_retries() -> None:
    cache, loader, _ = make_cache()
    loader.gate.clear()
    loader.errors = [damaged("a")]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(use, cache, "a") for _ in range(4)]
        wait_for_waiters(cache, 4)
        loader.gate.set()
    assert [str(visit.exception()) for visit in asked] == ["a is damaged"] * 4
    assert states(cache) == {}
    use(cache, "a")


def test_an_unknown_key_leaves_nothing_behind() -> None:
    cache, _, _ = make_cache()
    with pytest.raises(KeyError), cache.lease("nonsense"):
        pass
    assert states(cache) == {}


def test_only_one_model_is_built_at_a_time() -> None:
    cache, loader, _ = make_cache(budget=100)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda key: use(cache, key), "abc"))
    assert loader.most_building == 1


def test_a_hit_does_not_wait_for_another_load() -> None:
    cache, loader, _ = make_cache()
    use(cache, "a")
    loader.gate.clear()
    loader.arrived.clear()
    with in_thread(use, cache, "b"):
        assert loader.arrived.wait(10)
        use(cache, "a")  # would hang here if it waited
        loader.gate.set()


def test_an_exception_in_the_body_releases_the_lease() -> None:
    cache, _, _ = make_cache()
    with pytest.raises(RuntimeError, match="boom"), cache.lease("a"):
        raise RuntimeError("boom")
    assert states(cache) == {"a": "ready"}


def test_a_lease_ends_even_if_its_generator_is_forgotten_while_the_cache_is_busy() -> None:
    cache, _, _ = make_cache()

    class Forgetful:
        """Holds a running generator in a cycle, which only the garbage collector breaks."""

        def __init__(self, cache: ModelCache) -> None:
            self.steps = self.generate(cache)
            next(self.steps)

        def generate(self, cache: ModelCache) -> Iterator[int]:
            with cache.lease("a"):
                yield from range(9)
            self.unreachable = True

    Forgetful(cache)
    assert find(cache, "a")["leases"] == 1
    # The clock is read under the lock: a cache that locks itself out would hang here.
    cache._clock = lambda: float(gc.collect() * 0)
    cache.snapshot()
    assert find(cache, "a")["leases"] == 0


def test_many_threads_leave_the_books_balanced() -> None:
    cache, loader, _ = make_cache(budget=20, patience=10)

    def visit(number: int) -> None:
        with cache.lease("abc"[number % 3]) as model:
            assert model.key == "abc"[number % 3]
            assert cache.snapshot()["used_bytes"] <= 20

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(visit, range(300)))
    counts = cache.snapshot()
    assert counts["hits"] + counts["misses"] + counts["joins"] == 300
    assert counts["loads"] == loader.loads.total() == counts["misses"]
    assert all(model["leases"] == 0 for model in counts["models"])


# The budget


def test_least_recently_used_goes_first() -> None:
    cache, _, _ = make_cache(budget=20)
    use(cache, "a", "b", "a", "c")
    assert states(cache) == {"a": "ready", "c": "ready"}


def test_a_leased_model_is_never_evicted() -> None:
    cache, _, _ = make_cache(budget=20)
    with cache.lease("a"):
        use(cache, "b", "c")
        assert states(cache) == {"a": "in use", "c": "ready"}


def test_memory_is_set_aside_before_the_load() -> None:
    cache, loader, _ = make_cache(budget=15)
    loader.gate.clear()
    with in_thread(use, cache, "a"):
        assert loader.arrived.wait(10)
        assert cache.snapshot()["used_bytes"] == 10
        with pytest.raises(CacheFull, match=r"a \(0 MB, loading\) is in use"), cache.lease("b"):
            pass
        loader.gate.set()


def test_no_room_names_what_is_in_use_and_by_whom() -> None:
    cache, loader, _ = make_cache(budget=20)
    with (
        cache.lease("a", holder="the text room"),
        cache.lease("b"),
        pytest.raises(CacheFull, match=r"a \(0 MB, the text room\), b \(0 MB, a visitor\) are"),
        cache.lease("c"),
    ):
        pass
    assert not loader.loads["c"]
    use(cache, "c")  # and the next request works


def test_what_cannot_make_room_is_not_evicted_in_vain() -> None:
    cache, _, _ = make_cache(budget=20, sizes={"a": 10, "b": 10, "c": 20})
    use(cache, "b")
    with cache.lease("a"), pytest.raises(CacheFull), cache.lease("c"):
        pass
    assert states(cache) == {"a": "ready", "b": "ready"}


def test_a_load_waits_for_room_until_a_lease_ends() -> None:
    cache, _, _ = make_cache(budget=10, patience=10)
    with contextlib.ExitStack() as visit:
        visit.enter_context(cache.lease("a"))
        with in_thread(use, cache, "b"):
            wait_for_waiters(cache, 1)
            visit.close()
    assert states(cache) == {"b": "ready"}


def test_a_model_larger_than_the_budget_is_refused_at_once() -> None:
    cache, loader, _ = make_cache(budget=5, patience=60)
    with pytest.raises(CacheFull, match="Choose a smaller model"), cache.lease("a"):
        pass
    assert not loader.fetches, "gigabytes may not be downloaded in vain"
    assert not loader.loads


def test_measured_bytes_replace_the_expected_ones() -> None:
    cache, loader, _ = make_cache(budget=20)
    loader.measured["b"] = {"b": 15}
    use(cache, "a")
    with cache.lease("b"):
        assert states(cache) == {"b": "in use"}
        assert cache.snapshot()["used_bytes"] == 15


def test_a_model_that_turns_out_too_large_leaves_when_its_lease_ends() -> None:
    cache, loader, _ = make_cache(budget=20)
    loader.measured["b"] = {"b": 15}
    with cache.lease("a"):
        use(cache, "b")
        assert states(cache) == {"a": "in use"}
    loader.measured["b"] = {"b": 21}
    with pytest.raises(CacheFull, match="Choose a smaller model"), cache.lease("b"):
        pass


def test_pieces_that_models_share_count_once() -> None:
    cache, loader, _ = make_cache(budget=30)
    loader.measured = {"a": {"encoder": 8, "a": 2}, "b": {"encoder": 8, "b": 2}}
    use(cache, "a", "b")
    assert cache.snapshot()["used_bytes"] == 12
    assert cache.unload("a")
    assert cache.snapshot()["used_bytes"] == 10


def test_an_evicted_model_is_really_freed() -> None:
    cache, _, _ = make_cache(budget=10)
    with cache.lease("a") as model:
        trace = weakref.ref(model)
    del model
    use(cache, "b")
    assert trace() is None


# Waiting, watching, leaving


def test_everyone_who_waits_sees_the_progress() -> None:
    cache, loader, _ = make_cache()
    loader.gate.clear()
    first, second = cache.prepare("a"), cache.prepare("a")
    next(first)
    assert loader.arrived.wait(10)
    for waiting in (first, second):
        progress = next(waiting)
        assert (progress.stage, progress.done, progress.total) == ("Loading", 5, 10)
    assert find(cache, "a")["progress"] == {"stage": "Loading", "done": 5, "total": 10}
    loader.gate.set()
    assert all(progress.stage == "Loading" for waiting in (first, second) for progress in waiting)
    assert loader.loads["a"] == 1
    assert list(cache.prepare("a")) == []  # nothing to wait for


def test_a_prepared_model_is_kept_for_its_first_lease() -> None:
    cache, _, clock = make_cache(budget=10, grace=5.0)
    list(cache.prepare("a"))
    with pytest.raises(CacheFull), cache.lease("b"):
        pass
    use(cache, "a", "b")
    assert states(cache) == {"b": "ready"}
    list(cache.prepare("a"))
    clock.now += 6.0  # the visitor never came
    use(cache, "b")


def test_a_model_that_somebody_watches_for_stays() -> None:
    cache, loader, _ = make_cache(budget=10)
    loader.gate.clear()
    waiting = cache.prepare("a")
    next(waiting)
    loader.gate.set()
    wait_until(lambda: states(cache) == {"a": "ready"})
    with pytest.raises(CacheFull), cache.lease("b"):
        pass
    waiting.close()
    use(cache, "b")


def test_a_load_ends_when_the_last_who_waits_leaves() -> None:
    cache, loader, _ = make_cache()
    loader.gate.clear()
    first, second = cache.prepare("a"), cache.prepare("a")
    next(first)
    next(second)
    assert loader.arrived.wait(10)
    first.close()
    assert states(cache) == {"a": "loading"}
    second.close()
    loader.gate.set()
    wait_until(lambda: cache.snapshot()["cancelled"] == 1)
    assert states(cache) == {}
    use(cache, "a")


def test_leaving_while_waiting_for_memory_ends_the_load() -> None:
    cache, loader, _ = make_cache(budget=10, patience=60)
    with cache.lease("a"):
        waiting = cache.prepare("b")
        assert any(progress.stage == "Waiting for memory" for progress in waiting)
        waiting.close()
        wait_until(lambda: cache.snapshot()["cancelled"] == 1)
    assert not loader.loads["b"]


def test_a_failed_load_tells_those_who_watch() -> None:
    cache, loader, _ = make_cache()
    loader.errors = [damaged("a")]
    with pytest.raises(ModelUnavailable, match="a is damaged"):
        list(cache.prepare("a"))
    use(cache, "a")


# Memory that runs out


def test_out_of_memory_evicts_what_is_idle_and_tries_once_more() -> None:
    cache, loader, _ = make_cache(budget=30)
    use(cache, "a")
    with cache.lease("b"):
        loader.errors = [MemoryError()]
        use(cache, "c")
        assert states(cache) == {"b": "in use", "c": "ready"}
    assert loader.loads["c"] == 2


def test_out_of_memory_twice_is_explained_and_the_next_request_works() -> None:
    cache, loader, _ = make_cache()
    loader.errors = [MemoryError(), MemoryError()]
    with pytest.raises(OutOfMemory, match="choose a smaller"), cache.lease("a"):
        pass
    assert loader.loads["a"] == 2
    assert cache.snapshot()["used_bytes"] == 0
    use(cache, "a")


def test_out_of_memory_at_work_is_explained_and_drops_what_is_idle() -> None:
    cache, _, _ = make_cache()
    use(cache, "b")
    with pytest.raises(OutOfMemory, match="while a worked"), cache.lease("a"):
        raise MemoryError
    assert states(cache) == {"a": "ready"}


# Dropping


def test_unload_refuses_while_leased_or_loading() -> None:
    cache, loader, _ = make_cache(grace=60)
    with cache.lease("a"):
        assert not cache.unload("a")
    assert cache.unload("a")
    loader.gate.clear()
    with in_thread(use, cache, "b"):
        wait_for_waiters(cache, 1)
        assert not cache.unload("b")
        loader.gate.set()
    list(cache.prepare("a"))
    assert cache.unload("a"), "a visitor's wish goes before the grace"
    assert cache.unload("never loaded")


def test_a_pinned_model_stays() -> None:
    cache, _, _ = make_cache(budget=20, idle_timeout=None)
    cache.pin("a")
    use(cache, "b", "c")
    assert not cache.unload("a")
    cache.sweep()
    assert find(cache, "a")["pinned"]


def test_models_unused_for_long_are_dropped() -> None:
    cache, _, clock = make_cache(idle_timeout=100.0)
    use(cache, "a")
    clock.now += 60
    with cache.lease("b"):
        clock.now += 60
        cache.sweep()
        assert states(cache) == {"b": "in use"}
    cache.close()


def test_idle_models_are_dropped_without_anybody_asking() -> None:
    cache, _, _ = make_cache(idle_timeout=0.001)
    use(cache, "a")
    wait_until(lambda: not states(cache))
    cache.close()


def test_closing_waits_for_leases_ends_loads_and_lends_nothing_more() -> None:
    cache, _, _ = make_cache(budget=10, patience=60)
    with ThreadPoolExecutor(2) as pool:
        with cache.lease("a"):
            waiting = pool.submit(use, cache, "b")
            wait_for_waiters(cache, 1)
            closing = pool.submit(cache.close)
            assert isinstance(waiting.exception(10), CacheClosed)
            assert not closing.done()
        closing.result(10)
    assert states(cache) == {}
    with pytest.raises(CacheClosed, match="shutting down"), cache.lease("a"):
        pass


# Devices


def test_an_evicted_gpu_model_is_parked_and_comes_back_without_a_load() -> None:
    cache, loader, _ = make_cache(budget=10, device_budget=lambda device: 10)
    loader.places = ["gpu:0"]
    use(cache, "a", "b")
    assert states(cache) == {"b": "ready", "a": "parked"}
    assert not find(cache, "a")["loaded"]
    assert [device["used_bytes"] for device in cache.snapshot()["devices"]] == [10, 10]
    with cache.lease("a") as model:
        assert isinstance(model, FakeModel)
        assert model.device == "gpu:0"
    assert loader.loads["a"] == 1
    assert states(cache) == {"a": "ready", "b": "parked"}
    assert cache.unload("b")


def test_parked_models_make_room_in_host_memory_first() -> None:
    cache, loader, _ = make_cache(budget=20, device_budget=lambda device: 10)
    use(cache, "c")
    loader.places = ["gpu:0"]
    use(cache, "a", "b")
    assert states(cache) == {"a": "parked", "b": "ready", "c": "ready"}
    loader.places = ["cpu"]
    loader.sizes["d"] = 10
    use(cache, "d")
    assert states(cache) == {"b": "ready", "c": "ready", "d": "ready"}


def test_what_does_not_fit_in_host_memory_is_dropped_instead_of_parked() -> None:
    cache, loader, _ = make_cache(budget=5, device_budget=lambda device: 10)
    loader.places = ["gpu:0"]
    use(cache, "a", "b")
    assert states(cache) == {"b": "ready"}
    assert not loader.moves


def test_a_second_device_is_used_before_anything_is_evicted() -> None:
    cache, loader, _ = make_cache(device_budget=lambda device: 10)
    loader.places = ["gpu:0", "gpu:1"]
    use(cache, "a", "b")
    assert [find(cache, key)["device"] for key in "ab"] == ["gpu:0", "gpu:1"]
    loader.places = ["gpu:0", "cpu"]
    loader.sizes["c"] = 15
    use(cache, "c")  # too large for the card: falls back to the host
    assert find(cache, "c")["device"] == "cpu"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child_can_lease_though_a_load_was_under_way() -> None:
    cache, loader, _ = make_cache()
    use(cache, "a")
    loader.gate.clear()
    loader.arrived.clear()
    with in_thread(use, cache, "b"):
        assert loader.arrived.wait(10)
        child = os.fork()
        if child == 0:
            loader.gate.set()
            use(cache, "a", "b")
            os._exit(0)
        loader.gate.set()
        assert os.waitpid(child, 0)[1] == 0


# The log


def test_loads_evictions_and_refusals_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "shared")
    cache, loader, _ = make_cache(sizes={"a": 10**7, "b": 10**7, "c": 10**8}, budget=10**7)
    use(cache, "a", "b")
    with pytest.raises(CacheFull), cache.lease("c"):
        pass
    loader.errors = [OSError("/tmp/secret/guest-5ec2e7")]
    with pytest.raises(OSError, match="secret"), cache.lease("a"):
        pass
    lines = [record.getMessage() for record in caplog.records]
    assert any(re.match(r"Loaded a \(10 MB on cpu\) in \d+\.\d s", line) for line in lines)
    assert "Evicted a (10 MB on cpu): 10 MB are needed" in lines
    assert any(line.startswith("No c: c needs 100 MB, but models may take") for line in lines)
    assert "No a: OSError" in lines
