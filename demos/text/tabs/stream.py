"""Running a model of the text room: alone in turn, or many texts together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from demos.text.generate import TextRequest, TextStep, generate_text
from demos.text.room import HOLDER, TextRoom
from shared.ui import in_turn, stop_on_exit, throttle
from shared.zero_gpu import on_gpu

Stream = Callable[[str, TextRequest], Iterator[TextStep]]
Pair = tuple[str, TextRequest]  # a model's key, and what it is asked for


def create_stream(room: TextRoom) -> Stream:
    """Return the function (model, request) that writes, in turn where the device needs it."""
    run = _create_run(room)
    run_in_turn = in_turn(run)

    def stream(model: str, request: TextRequest) -> Iterator[TextStep]:
        yield from (run if room.writes_together(model) else run_in_turn)(model, request)

    return stream


def create_streams(room: TextRoom) -> Callable[..., Iterator[tuple[int, TextStep]]]:
    """Return the function that lets several pairs write by turns: steps with the pair's number."""
    run = _create_run(room)

    def run_all(*pairs: Pair) -> Iterator[tuple[int, TextStep]]:
        yield from alternate(*(run(*pair) for pair in pairs))

    # One turn for all: a run that waited for another's end would wait for ever.
    all_in_turn = in_turn(run_all)

    def stream(*pairs: Pair) -> Iterator[tuple[int, TextStep]]:
        together = all(room.writes_together(model) for model, _ in pairs)
        yield from (run_all if together else all_in_turn)(*pairs)

    return stream


def alternate(*runs: Iterator[TextStep]) -> Iterator[tuple[int, TextStep]]:
    """Yield the steps of several runs by turns, each with the number of its run."""
    with contextlib.ExitStack() as stack:
        going = {
            number: stack.enter_context(contextlib.closing(run))  # type: ignore[type-var]
            for number, run in enumerate(runs)
        }
        while going:
            for number, run in list(going.items()):
                step = next(run, None)
                if step is None:
                    del going[number]
                else:
                    yield number, step


def _create_run(room: TextRoom) -> Stream:
    @on_gpu(room.catalog, room.settings, lambda request: 5 + request.max_new_tokens / 20)
    def run(model: str, request: TextRequest) -> Iterator[TextStep]:
        with room.cache.lease(room.writing_spec(model).key, HOLDER) as lent, stop_on_exit() as stop:
            yield from throttle(generate_text(lent, request, stop))

    return run
