"""How much a text surprises a model, token by token. No Gradio here.

A token that the model gave the probability p is a surprise of -log2 p bits (Shannon 1948): 1 bit
for a coin that falls, 10 bits for one in a thousand. The bits of a text are also the length of the
file that an arithmetic coder would make of it with this model's help.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event

from pydantic import Field, field_validator

from demos.text.tokens import (
    MAX_TEXT,
    Piece,
    begin_document,
    label_tokens,
    open_model,
    read_text,
)
from shared.catalog import LanguageModel
from shared.requests import Request

MOST_WINDOW = 512  # tokens read at once: more would cost more than they tell
_WORD = re.compile(r"\w+(?:['’\-]\w+)*|[^\w\s]+")


class SurpriseRequest(Request):
    """A text to be judged.

    Attributes:
        text: At least one character that is no space.
    """

    text: str = Field("", min_length=1, max_length=MAX_TEXT)

    @field_validator("text")
    @classmethod
    def _visible(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty. Write or paste a few words first")
        return text


@dataclass(frozen=True)
class Judged:
    """A token, and how the model took it.

    Attributes:
        piece: The token.
        bits: Its surprise.
        expected: Name of the token that the model held for the likeliest there.
        probability: What it gave that one.
    """

    piece: Piece
    bits: float
    expected: str
    probability: float


@dataclass(frozen=True)
class Word:
    """A word and the bits of all its tokens."""

    text: str
    bits: float
    first: int  # number of its first token


@dataclass(frozen=True)
class Surprise:
    """A text, as far as it has been judged.

    Attributes:
        text: All of it.
        judged: The tokens from its beginning that have been judged so far.
        total: Tokens in all.
        vocabulary: Tokens that the model chooses from.
    """

    text: str
    judged: tuple[Judged, ...]
    total: int
    vocabulary: int

    @property
    def done(self) -> bool:
        """Whether every token has been judged."""
        return len(self.judged) == self.total

    @property
    def read(self) -> str:
        """The part of the text that has been judged."""
        return "".join(one.piece.text for one in self.judged)

    @property
    def bits(self) -> float:
        """The surprise of that part."""
        return math.fsum(one.bits for one in self.judged)

    @property
    def bits_per_character(self) -> float:
        """The usual measure of a language model, as it does not depend on the tokens."""
        return self.bits / len(self.read)

    @property
    def bits_per_token(self) -> float:
        """Mean surprise of a token."""
        return self.bits / len(self.judged)

    @property
    def bits_of_guess(self) -> float:
        """Surprise of a token for who holds all of the vocabulary for equally likely."""
        return math.log2(self.vocabulary)

    def sizes(self) -> dict[str, int]:
        """Bytes of a file with the part judged: as plain text, zipped, and with this model."""
        plain = self.read.encode()
        return {
            "plain": len(plain),
            "gzip": len(gzip.compress(plain, mtime=0)),
            "model": math.ceil(self.bits / 8),
        }

    def words(self) -> list[Word]:
        """Group the tokens into words, in order; spaces that are tokens alone belong to none."""
        starts: list[int] = []  # position of each token's first visible character
        position = 0
        for one in self.judged:
            text = one.piece.text
            if text:
                spaces = 0 if text.isspace() else len(text) - len(text.lstrip())
                starts.append(position + spaces)
            else:  # more bytes of the character before
                starts.append(starts[-1] if starts else 0)
            position += len(text)
        words, number = [], 0
        for match in _WORD.finditer(self.read):
            while number < len(starts) and starts[number] < match.start():
                number += 1
            first = number
            while number < len(starts) and starts[number] < match.end():
                number += 1
            bits = math.fsum(one.bits for one in self.judged[first:number])
            if number > first:
                words.append(Word(match[0], bits, first))
        return words


def measure_surprise(
    language_model: LanguageModel, request: SurpriseRequest, stop: Event
) -> Iterator[Surprise]:
    """Yield after every window of the text, until all of it is judged or ``stop`` is set.

    Each token is predicted from the ones before it: from all of them, or, in a text longer than the
    model's context, from half a context at least. The first is predicted from the mark that begins
    a document; for a model without one it counts as a uniform guess.
    """
    tokenizer = language_model.tokenizer
    pieces = read_text(tokenizer, request.text)
    vocabulary = int(open_model(language_model).config.vocab_size)
    first = begin_document(language_model)
    surprise = Surprise(request.text, (), len(pieces), vocabulary)
    if not first:
        guess = Judged(pieces[0], math.log2(vocabulary), "anything", 1 / vocabulary)
        surprise = replace(surprise, judged=(guess,))
    ids = [*first, *(piece.id for piece in pieces)]
    size = min(MOST_WINDOW, language_model.context)
    done = max(1, len(first))  # ids that are no longer to be predicted
    for start, fresh in plan_windows(len(ids), size, done):
        if stop.is_set():
            return
        judged = _judge(language_model, ids[start : start + size + 1], fresh - start)
        offset = fresh - len(first)
        new = (
            Judged(piece, bits, expected, probability)
            for piece, (bits, expected, probability) in zip(
                pieces[offset : offset + len(judged)], judged, strict=True
            )
        )
        surprise = replace(surprise, judged=(*surprise.judged, *new))
        yield surprise
    if len(ids) <= done:  # a single token, for a model without a mark
        yield surprise


def plan_windows(length: int, size: int, first: int = 1) -> Iterator[tuple[int, int]]:
    """Plan how ``length`` ids are read by a model that takes ``size`` at once.

    Args:
        length: Of the text in ids.
        size: Most ids in a window.
        first: Number of the first id to predict.

    Yields:
        Where a window starts, and the first id that it predicts; it predicts all up to that after
        its end. Windows after the first begin half a window before what they predict.
    """
    fresh = first
    while fresh < length:
        start = 0 if fresh == first else fresh - max(1, size // 2)
        yield start, fresh
        fresh = min(length, start + size + 1)


def _judge(
    language_model: LanguageModel, ids: list[int], fresh: int
) -> list[tuple[float, str, float]]:
    """Return bits, likeliest token and its probability for ``ids[fresh:]``, read in one window."""
    import torch

    model = open_model(language_model)
    read = torch.tensor([ids[:-1]], device=model.device)
    with torch.inference_mode():
        logits = model(read, use_cache=False, logits_to_keep=len(ids) - fresh).logits[0].float()
        whole = logits.logsumexp(-1)  # (N,)
        targets = torch.tensor(ids[fresh:], device=logits.device)
        own = logits.gather(-1, targets[:, None])[:, 0]
        best = logits.max(-1)
        bits = ((whole - own) / math.log(2)).clamp(min=0).tolist()
        certain = (best.values - whole).exp().tolist()
    names = label_tokens(language_model.tokenizer, best.indices.tolist())
    return list(zip(bits, names, certain, strict=True))
