"""Turns: requests get all their slots at once, in order, and the limits fit the server."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.limits import BATCH_ROWS, DEVICE, QUEUES, QUICK_THREADS, THREADS
from shared.live.process import MOST_IN_LINE
from shared.turns import Turns

LONG = 10.0  # seconds; far more than any wait here takes


def test_whoever_comes_later_sees_how_many_are_before() -> None:
    turns = Turns()
    with turns.join({DEVICE: 1}) as first:
        assert first.wait(0) == 0
        with turns.join({DEVICE: 1}) as second, turns.join({DEVICE: 1}) as third:
            assert (second.wait(0), third.wait(0)) == (1, 2)
            with turns.join({"text/small": 1}) as other:
                assert other.wait(0) == 0, "another resource is free"
    assert len(turns) == 0


def test_leaving_lets_the_next_in() -> None:
    turns = Turns()
    came = threading.Event()

    def visit() -> int:
        with turns.join({DEVICE: 1}) as place:
            came.set()
            return place.wait(LONG)

    with ThreadPoolExecutor(1) as threads:
        with turns.join({DEVICE: 1}):
            second = threads.submit(visit)
            assert came.wait(LONG)
            with turns.join({DEVICE: 1}):  # gives up while it waits
                pass
            assert not second.done()
        assert second.result(LONG) == 0


def test_all_slots_are_taken_at_once_so_that_no_two_wait_for_each_other() -> None:
    turns = Turns({"a": 1, "b": 1})
    gate = threading.Barrier(8)

    def visit(number: int) -> int:
        gate.wait(LONG)
        needs = {"a": 1, "b": 1} if number % 2 else {"b": 1, "a": 1}
        with turns.join(needs) as place:
            return place.wait(LONG)

    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(visit, range(8))) == [0] * 8


def test_nobody_is_overtaken_by_those_who_need_less() -> None:
    turns = Turns({"a": 2})
    with turns.join({"a": 1}) as small:
        assert small.wait(0) == 0
        with turns.join({"a": 2}) as large, turns.join({"a": 1}) as late:
            assert large.wait(0) == 1
            assert late.wait(0) == 2, "a slot is free, but the large request came first"


def test_a_request_that_can_never_be_served_is_refused() -> None:
    turns = Turns()
    with pytest.raises(ValueError, match="16 slots"), turns.join({"text": BATCH_ROWS + 1}):
        pass
    assert len(turns) == 0


def test_all_that_may_wait_at_once_fits_into_the_servers_threads() -> None:
    assert sum(QUEUES.values()) + QUICK_THREADS <= THREADS
    assert QUEUES["training"] > MOST_IN_LINE, (
        "one more must get a thread to read that the line is full"
    )
