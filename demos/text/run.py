"""Running the language models of the text room. No Gradio here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from threading import Event

from demos.text.generate import TextRequest, TextStep, generate_text
from shared.catalog import LanguageModel
from shared.room import Room, Waiting

BUNDLED = "text/storyteller"


def run_text(room: Room, model: str, request: TextRequest) -> Iterator[TextStep | Waiting]:
    """Write on with ``model``, in whatever engine is fastest here; see ``Room.run``."""
    engine = room.engine(model).key
    return room.run(generate_text, engine, request, seconds=estimate_seconds(request))


def estimate_seconds(request: TextRequest) -> float:
    """How long a graphics card needs for a text."""
    return 5 + request.max_new_tokens / 20


def generate_texts(
    first: LanguageModel, second: LanguageModel, requests: Sequence[TextRequest], stop: Event
) -> Iterator[tuple[int, TextStep]]:
    """Write two texts, a token of each by turns: steps with the number of their request."""
    with contextlib.ExitStack() as stack:
        runs = {
            number: stack.enter_context(contextlib.closing(generate_text(model, request, stop)))
            for number, (model, request) in enumerate(zip((first, second), requests, strict=True))
        }
        while runs:
            for number, steps in list(runs.items()):
                step = next(steps, None)
                if step is None:
                    del runs[number]
                else:
                    yield number, step
