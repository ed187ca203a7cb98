"""Many visitors, one small model: all texts in the making take each step together."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING

from threadpoolctl import ThreadpoolController

from shared.decoder import Decoder, can_decode
from shared.sampling import (
    Draft,
    SampledToken,
    TransformersWriter,
    Writer,
    draw_tokens,
)

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ROWS = 16
# Steps that one visitor takes for all before the others get to their tokens: handing over to
# another thread at every token costs time.
AHEAD = 2
WAIT_SECONDS = 0.05  # between two looks at the stop flag while all rows are taken


def choose_writer(model: PreTrainedModel) -> Writer:
    """Return the fastest way to write with ``model``."""
    return BatchWriter(model) if can_decode(model) else TransformersWriter(model)


@dataclass(eq=False)
class _Text:
    draft: Draft
    ready: deque[SampledToken] = field(default_factory=deque)


class BatchWriter:
    """Writes up to ``rows`` texts at once with a ``Decoder``; others wait for a row.

    There is no thread for it: whoever needs a token that is not there yet takes the step for all.
    Sums of several rows are added up in another order than those of one, so that probabilities
    differ in the sixth digit between a text written alone and in company, or after one that begins
    alike; a seed gives another text only where the draw falls into that gap.
    """

    def __init__(self, model: PreTrainedModel, rows: int = ROWS) -> None:
        """Take over the weights of ``model``, for which ``decoder.can_decode`` holds."""
        self._decoder = Decoder(model, rows)
        # A step is many small operations: waking a thread for each takes longer than it saves.
        self._threads = ThreadpoolController().select(user_api="openmp")
        self._free = threading.Semaphore(rows)
        # Guards all below, the decoder, and what is put into ``ready`` of a text.
        self._lock = threading.Lock()
        self._texts: list[_Text] = []  # in the order of the decoder's rows

    @property
    def memory(self) -> dict[Hashable, int]:
        """Bytes that it holds, by an identity."""
        return {("decoder", id(self._decoder)): self._decoder.nbytes}

    def write(self, draft: Draft, stop: Event) -> Iterator[SampledToken]:
        """See ``shared.sampling.Writer``."""
        while not self._free.acquire(timeout=WAIT_SECONDS):
            if stop.is_set():
                return
        text = _Text(draft)
        try:
            with self._lock:
                self._begin(text)
            while not stop.is_set():
                if not text.ready:
                    with self._lock:
                        if not text.ready:
                            self._advance()
                    if not text.ready:
                        return  # the context is full
                yield text.ready.popleft()
        finally:
            with self._lock:
                self._end(text)
            self._free.release()

    def _begin(self, text: _Text) -> None:
        logits = self._decoder.read(len(self._texts), text.draft.ids)
        text.ready += draw_tokens([text.draft], logits[None])
        self._texts.append(text)
        self._end_full()

    def _advance(self) -> None:
        for _ in range(AHEAD if len(self._texts) > 1 else 1):
            if self._texts:
                self._step()

    def _step(self) -> None:
        """Write one more token of every text, and those after it that were foretold."""
        with self._threads.limit(limits=1):  # of this thread alone
            added = self._look_ahead()
            logits = self._decoder.step(added)
            rows = list(range(len(added)))
            for place in range(logits.shape[1]):
                drafts = [self._texts[row].draft for row in rows]
                tokens = draw_tokens(drafts, logits[rows, place])
                for row, token in zip(rows, tokens, strict=True):
                    self._texts[row].ready.append(token)
                drawn = zip(rows, tokens, strict=True)
                rows = [row for row, one in drawn if added[row][place + 1 : place + 2] == [one.id]]
                if not rows:
                    break
        for row, text in enumerate(self._texts):
            self._decoder.cut(row, len(text.draft.ids) - 1)
        self._end_full()

    def _look_ahead(self) -> list[list[int]]:
        """Return the last token of each text and what is foretold to follow, as far as it fits."""
        drafts = [text.draft for text in self._texts]
        room = self._decoder.context - max(len(draft.ids) for draft in drafts)
        foretold = [draft.foretell(draft.ids) if draft.foretell else () for draft in drafts]
        return [[one.ids[-1], *more][:room] for one, more in zip(drafts, foretold, strict=True)]

    def _end_full(self) -> None:
        for text in [one for one in self._texts if len(one.draft.ids) >= self._decoder.context]:
            self._end(text)

    def _end(self, text: _Text) -> None:
        """Free the row of a text, if it still has one; the last row moves there."""
        row = next((row for row, one in enumerate(self._texts) if one is text), None)
        if row is None:
            return
        last = self._texts.pop()
        if last is not text:
            self._decoder.move(len(self._texts), row)
            self._texts[row] = last
