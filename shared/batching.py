"""Many visitors, one small model: all texts in the making take each step together."""

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

# Steps that one visitor takes for all before the others get to their tokens: handing over to
# another thread at every token costs time.
AHEAD = 2


def choose_engine(model: PreTrainedModel) -> Engine:
    """Return the fastest way to write with ``model``."""
    return BatchEngine(model) if can_run(model) else TransformersEngine(model)


@dataclass(eq=False)
class _Text:
    sequence: TokenSequence
    ready: deque[SampledToken] = field(default_factory=deque)
    error: Exception | None = None

    @contextlib.contextmanager
    def keep_error(self) -> Iterator[None]:
        """Let what fails for this text wait for whoever reads it: another thread may step."""
        try:
            yield
        except Exception as error:
            self.error = error


class BatchEngine:
    """Writes up to ``rows`` texts at once with a ``NumpyLlama``; shared/turns.py admits no more.

    There is no thread for it: whoever needs a token that is not there yet takes the step for all.
    Sums of several rows are added up in another order than those of one, so that probabilities
    differ in the sixth digit between a text written alone and in company, or after one that begins
    alike; a seed gives another text only where the draw falls into that gap.
    """

    def __init__(self, model: PreTrainedModel, rows: int = BATCH_ROWS) -> None:
        """Take over the weights of ``model``, for which ``llama.can_run`` holds."""
        self._llama = NumpyLlama(model, rows)
        # A step is many small operations: waking a thread for each takes longer than it saves.
        self._threads = ThreadpoolController().select(user_api="openmp")
        self._rows = rows
        # Guards all below, the llama, and what is put into ``ready`` of a text.
        self._lock = threading.Lock()
        self._texts: list[_Text] = []  # in the order of the llama's rows

    @property
    def memory(self) -> dict[Hashable, int]:
        """Bytes that it holds, by an identity."""
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
            raise RuntimeError(f"All {self._rows} rows are taken: more texts than were admitted.")
        logits = self._llama.read(len(self._texts), text.sequence.ids)
        text.ready += draw_tokens([text.sequence], logits[None])
        self._texts.append(text)
        self._end_over()

    def _advance(self) -> None:
        for _ in range(AHEAD if len(self._texts) > 1 else 1):
            if self._texts:
                self._step()

    def _step(self) -> None:
        """Write one more token of every text, and those after it that were guessed right."""
        try:
            with self._threads.limit(limits=1):  # of this thread alone
                added = self._guess()
                logits = self._llama.step(added)
                rows = list(range(len(added)))
                for place in range(logits.shape[1]):
                    drawn = self._draw(rows, logits, place)
                    rows = [
                        row
                        for row, token in drawn.items()
                        if added[row][place + 1 : place + 2] == [token.id]
                    ]
                    if not rows:
                        break
        finally:  # also after an error: the other texts go on from what they have
            for row, text in enumerate(self._texts):
                self._llama.cut(row, len(text.sequence.ids) - 1)
            self._end_over()

    def _guess(self) -> list[list[int]]:
        """Return the last token of each text and guesses of what follows, as far as they fit."""
        longest = max(len(text.sequence.ids) for text in self._texts)
        room = self._llama.context - longest
        added = []
        for text in self._texts:
            sequence = text.sequence
            guesses: Sequence[int] = ()
            if sequence.propose:
                with text.keep_error():
                    guesses = sequence.propose(sequence.ids)
            added.append([sequence.ids[-1], *guesses][:room])
        return added

    def _draw(self, rows: list[int], logits: torch.Tensor, place: int) -> dict[int, SampledToken]:
        """Draw a token for each row. A text whose own rules fail has none; the others go on."""
        drawn: dict[int, SampledToken] = {}
        plain = [row for row in rows if not self._texts[row].sequence.rules]
        if plain:
            sequences = [self._texts[row].sequence for row in plain]
            drawn = dict(zip(plain, draw_tokens(sequences, logits[plain, place]), strict=True))
        for row in rows:
            text = self._texts[row]
            if row not in drawn and not text.error:
                with text.keep_error():
                    (drawn[row],) = draw_tokens([text.sequence], logits[row : row + 1, place])
            if row in drawn:
                text.ready.append(drawn[row])
        return drawn

    def _end_over(self) -> None:
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
