"""Running models: no request waits for ever, and a waiting request can be closed at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any, cast

import pytest

from demos.text.generate import TextRequest
from demos.text.run import BUNDLED, generate_texts, run_text
from shared.catalog import Catalog, GalleryLoader
from shared.limits import BATCH_ROWS
from shared.model_cache import ModelCache
from shared.room import Room, Waiting, once, throttle
from shared.settings import Settings

VAE = "latent/critters-vae"
LONG = 60.0  # seconds; a run takes a few


@pytest.fixture(scope="module")
def room() -> Iterator[Room]:
    settings = Settings(device="cpu", offline=True)
    catalog = Catalog(settings)
    cache = ModelCache(10**9, GalleryLoader(catalog))
    yield Room("text", cache, catalog)
    cache.close()


def count(model: Any, request: int, stop: Event) -> Iterator[int]:
    """A run of any length: yields numbers until it is stopped."""
    for number in range(request):
        if stop.is_set():
            return
        yield number


def hold_device(room: Room) -> Iterator[Any]:
    """Begin a run that has the device for itself, and pass its first step."""
    steps = room.run(count, VAE, 10**9, every=0)
    while isinstance(next(steps), Waiting):
        pass
    return steps


def close(steps: Iterator[Any]) -> float:
    """Close a run as a Stop does; how many seconds that took."""
    began = time.monotonic()
    cast(Any, steps).close()
    return time.monotonic() - began


def test_a_class_that_presses_write_both_at_once_gets_all_its_texts(room: Room) -> None:
    gate = threading.Barrier(BATCH_ROWS)

    def visit(seed: int) -> int:
        requests = [TextRequest.parse(prompt="Once", max_new_tokens=6, seed=seed)] * 2
        gate.wait(LONG)
        steps = room.run(generate_texts, [BUNDLED, BUNDLED], requests, every=0)
        return sum(not isinstance(step, Waiting) for step in steps)

    threads = ThreadPoolExecutor(BATCH_ROWS)
    try:
        visits = [threads.submit(visit, seed) for seed in range(BATCH_ROWS)]
        assert all(visit.result(LONG) >= 2 for visit in visits)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    assert len(room.turns) == 0


def test_two_texts_go_on_by_turns_and_both_to_their_end(room: Room) -> None:
    requests = [TextRequest.parse(prompt="Once", max_new_tokens=most, seed=1) for most in (1, 3)]
    steps = room.run(generate_texts, [BUNDLED, BUNDLED], requests, every=0)
    order = [cast(Any, step)[0] for step in steps if not isinstance(step, Waiting)]
    assert order == [0, 1, 1, 1]


def test_whoever_waits_for_the_device_leaves_at_once_and_so_does_who_has_it(room: Room) -> None:
    busy = hold_device(room)
    waiting = room.run(count, VAE, 3)
    texts = [cast(Waiting, step).text for step in (next(waiting), next(waiting))]
    assert "Waiting for your turn · 1 before you" in texts
    assert close(waiting) < 1
    assert close(busy) < 1
    assert room.finish(count, VAE, 3) == 2, "the device is free again"


def test_rooms_share_the_device(room: Room) -> None:
    other = Room("latent", room.cache, room.catalog, room.turns)
    busy = hold_device(room)
    waiting = other.run(count, VAE, 3)
    texts = [cast(Waiting, step).text for step in (next(waiting), next(waiting))]
    assert "Waiting for your turn · 1 before you" in texts
    close(waiting)
    close(busy)


def test_a_model_that_writes_for_all_together_does_not_wait_for_the_device(room: Room) -> None:
    busy = hold_device(room)
    steps = list(run_text(room, BUNDLED, TextRequest.parse(prompt="Once", max_new_tokens=3)))
    assert not isinstance(steps[-1], Waiting)
    close(busy)


def test_stop_is_set_on_every_way_out(room: Room) -> None:
    stops = []

    def watch(model: Any, request: bool, stop: Event) -> Iterator[int]:
        stops.append(stop)
        yield 1
        if request:
            raise ValueError("broken")

    steps = room.run(watch, VAE, False)
    while isinstance(next(steps), Waiting):
        pass
    close(steps)
    with pytest.raises(ValueError, match="broken"):
        list(room.run(watch, VAE, True))
    assert len(stops) == 2
    assert all(stop.is_set() for stop in stops)
    assert len(room.turns) == 0
    leases = [model["leases"] for model in room.cache.snapshot()["models"]]
    assert not any(leases)


def test_the_result_of_a_plain_function_is_the_only_step(room: Room) -> None:
    assert room.finish(once(lambda vae, factor: vae.config.z_dim * factor), VAE, 2) == 128


def test_the_last_step_always_comes() -> None:
    assert list(throttle(range(1000), 60)) == [0, 999]
    assert list(throttle([], 60)) == []
    assert list(throttle(range(3), 0)) == [0, 1, 2]
