"""Continuous batching: all texts that are being written share each step of one small model."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

from shared.limits import BATCH_ROWS
from shared.numpy_llama import NumpyLlama, can_run
from shared.sampling import (
    Engine,
    SampledToken,
    TokenSequence,
    TransformersEngine,
    draw_tokens,
)

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

# Batched steps that one thread runs at a time: switching threads at every token costs time.
STEPS_PER_TURN = 2


def choose_engine(model: PreTrainedModel) -> Engine:
    """Return the fastest engine for ``model``."""
    return BatchEngine(model) if can_run(model) else TransformersEngine(model)


@dataclass(eq=False)
class _Text:
    sequence: TokenSequence
    ready: deque[SampledToken] = field(default_factory=deque)
    error: Exception | None = None

    @contextlib.contextmanager
    def keep_error(self) -> Iterator[None]:
        """Keep an error for the thread that reads this text: another one may run the step."""
        try:
            yield
        except Exception as error:
            self.error = error


class BatchEngine:
    """Writes up to ``rows`` texts at once with a ``NumpyLlama``; shared/turns.py admits no more.

    No worker thread: the first caller without a token runs the batched step for everyone.
    Sums are added up in another order in a batch, and after a reused prefix, so probabilities may
    differ in the sixth digit. A seed gives another text only where a draw falls into that gap.
    """

    def __init__(self, model: PreTrainedModel, rows: int = BATCH_ROWS) -> None:
        """Use the weights of ``model``, for which ``can_run`` holds."""
        self._llama = NumpyLlama(model, rows)
        # A step is many small operations: starting threads for each takes longer than it saves.
        self._threads = ThreadpoolController().select(user_api="openmp")
        self._rows = rows
        # Guards the attributes below, the llama, and what is added to ``ready`` of a text.
        self._lock = threading.Lock()
        self._texts: list[_Text] = []  # row by row of the llama

    @property
    def memory(self) -> dict[Hashable, int]:
        """Bytes by owner, see ``Loader.measure``."""
        return {("llama", id(self._llama)): self._llama.nbytes}

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """See ``shared.sampling.Engine``."""
        text = _Text(sequence)
        try:
            with self._lock:
                self._begin(text)
            while not stop.is_set():
                if not text.ready:
                    with self._lock:
                        if not text.ready:
                            self._advance()
                    if not text.ready:
                        if text.error:
                            raise text.error
                        return  # the context is full
                yield text.ready.popleft()
        finally:
            with self._lock:
                self._end(text)

    def _begin(self, text: _Text) -> None:
        if len(self._texts) >= self._rows:
            raise RuntimeError(f"All {self._rows} rows are in use: more texts than were admitted.")
        logits = self._llama.read(len(self._texts), text.sequence.ids)
        text.ready += draw_tokens([text.sequence], logits[None])
        self._texts.append(text)
        self._end_finished()

    def _advance(self) -> None:
        for _ in range(STEPS_PER_TURN if len(self._texts) > 1 else 1):
            if self._texts:
                self._step()

    def _step(self) -> None:
        """Write one more token of every text, and the proposed tokens that prove right."""
        try:
            with self._threads.limit(limits=1):  # in this thread only
                added = self._propose()
                logits = self._llama.step(added)
                rows = list(range(len(added)))
                for position in range(logits.shape[1]):
                    drawn = self._draw(rows, logits, position)
                    rows = [
                        row
                        for row, token in drawn.items()
                        if added[row][position + 1 : position + 2] == [token.id]
                    ]
                    if not rows:
                        break
        finally:  # also after an error, so that the other texts can go on
            for row, text in enumerate(self._texts):
                self._llama.cut(row, len(text.sequence.ids) - 1)
            self._end_finished()

    def _propose(self) -> list[list[int]]:
        """Return the last token of each text and those proposed to follow, as far as they fit."""
        longest = max(len(text.sequence.ids) for text in self._texts)
        room = self._llama.context - longest
        added = []
        for text in self._texts:
            sequence = text.sequence
            proposed: Sequence[int] = ()
            if sequence.propose:
                with text.keep_error():
                    proposed = sequence.propose(sequence.ids)
            added.append([sequence.ids[-1], *proposed][:room])
        return added

    def _draw(self, rows: list[int], logits: torch.Tensor, at: int) -> dict[int, SampledToken]:
        """Draw a token for each row; none for a text whose own processors raise."""
        drawn: dict[int, SampledToken] = {}
        plain = [row for row in rows if not self._texts[row].sequence.processors]
        if plain:
            sequences = [self._texts[row].sequence for row in plain]
            drawn = dict(zip(plain, draw_tokens(sequences, logits[plain, at]), strict=True))
        for row in rows:
            text = self._texts[row]
            if row not in drawn and not text.error:
                with text.keep_error():
                    (drawn[row],) = draw_tokens([text.sequence], logits[row : row + 1, at])
            if row in drawn:
                text.ready.append(drawn[row])
        return drawn

    def _end_finished(self) -> None:
        """Free the rows of texts that are full or have failed."""
        context = self._llama.context
        for text in [one for one in self._texts if one.error or len(one.sequence.ids) >= context]:
            self._end(text)

    def _end(self, text: _Text) -> None:
        """Free the row of a text, if it still has one; the last row moves there."""
        row = next((row for row, one in enumerate(self._texts) if one is text), None)
        if row is None:
            return
        last = self._texts.pop()
        if last is not text:
            self._llama.move(len(self._texts), row)
            self._texts[row] = last
