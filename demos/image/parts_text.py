"""What a model makes of words: its tokenizer and its text encoder, each alone. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from demos.image.generate import Prompt, borrow_pipeline
from shared.requests import Request


class TokensRequest(Request):
    """A text for the tokenizer; it may be empty."""

    prompt: Prompt = "a happy blue dragon with yellow horns"


class VectorsRequest(Request):
    """Two sentences for the text encoder; empty ones, too, have their marks."""

    prompt: Prompt = "a blue monster with yellow horns"
    other: Prompt = "a yellow monster with blue horns"


@dataclass(frozen=True)
class Token:
    """A piece of text with a number.

    Attributes:
        text: The piece as the vocabulary has it.
        number: Its place in the vocabulary.
        word: Which word it belongs to; None for the marks of start and end.
        is_read: False beyond the longest prompt that the model reads.
    """

    text: str
    number: int
    word: int | None
    is_read: bool = True


@dataclass(frozen=True)
class Tokens:
    """What the text encoder gets.

    Attributes:
        tokens: In order, marks included, padding left out.
        limit: How many are read at most, marks included. What is left is filled with ``padding``.
        vocabulary: How many different tokens there are.
        padding: Its text.
    """

    tokens: tuple[Token, ...]
    limit: int
    vocabulary: int
    padding: str


@dataclass(frozen=True)
class Vectors:
    """A sentence as the text encoder gets it and as it leaves it.

    Attributes:
        tokens: N tokens that were read.
        before: (N, D) float32, looked up by number alone.
        after: (N, E) float32, what the denoiser gets.
    """

    tokens: tuple[Token, ...]
    before: np.ndarray
    after: np.ndarray


def read_tokens(pipeline: Any, request: TokensRequest) -> Tokens:
    """Cut a text into the tokens of the pipeline's (first) tokenizer."""
    tokenizer = borrow_pipeline(pipeline).tokenizer  # the switches on it are one's own
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    inner = backend.encode(request.prompt, add_special_tokens=False)
    marks = backend.encode("")
    both = tokenizer.num_special_tokens_to_add()
    limit = tokenizer.model_max_length
    pieces = [
        Token(_clean(text), number, word, index < limit - both)
        for index, (text, number, word) in enumerate(
            zip(inner.tokens, inner.ids, inner.word_ids, strict=True)
        )
    ]
    ends = [Token(text, number, None) for text, number in zip(marks.tokens, marks.ids, strict=True)]
    start, end = ends[: both - 1], ends[both - 1 :]
    read = [piece for piece in pieces if piece.is_read]
    return Tokens(
        (*start, *read, *end, *pieces[len(read) :]),
        limit,
        len(tokenizer),
        str(tokenizer.pad_token),
    )


def encode_texts(pipeline: Any, request: VectorsRequest) -> tuple[Vectors, Vectors]:
    """Run the pipeline's (first) text encoder on both sentences."""
    import torch

    own = borrow_pipeline(pipeline)
    encoder = own.text_encoder
    both = []
    for prompt in (request.prompt, request.other):
        tokens = tuple(
            token
            for token in read_tokens(own, TokensRequest(prompt=prompt)).tokens
            if token.is_read
        )
        ids = own.tokenizer(
            prompt, padding="max_length", truncation=True, max_length=own.tokenizer.model_max_length
        ).input_ids
        with torch.inference_mode():
            numbers = torch.tensor([ids], device=encoder.device)
            before = encoder.get_input_embeddings()(numbers)
            after = encoder(numbers).last_hidden_state
        parts = [part[0, : len(tokens)].float().cpu().numpy() for part in (before, after)]
        both.append(Vectors(tokens, *parts))
    return both[0], both[1]


def compare_words(one: Vectors, other: Vectors) -> list[tuple[str, float, float]]:
    """Compare the words that two sentences share.

    Returns:
        The words, and the cosine of the angle between each one's two vectors, before and after the
        encoder; 1 for the same direction. What all tokens have in common is taken off first: in
        encoders of this kind it is most of every vector (Ethayarajh 2019, arXiv:1909.00512).
    """
    common = np.concatenate([one.after, other.after]).mean(axis=0)
    places = {token.number: row for row, token in enumerate(other.tokens) if token.word is not None}
    found = []
    for row, token in enumerate(one.tokens):
        there = None if token.word is None else places.pop(token.number, None)
        if there is not None:
            before = _cosine(one.before[row], other.before[there])
            after = _cosine(one.after[row] - common, other.after[there] - common)
            found.append((token.text, before, after))
    return found


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / max(lengths, 1e-12)


def _clean(text: str) -> str:
    """Take off the tokenizers' marks of where a word begins or ends."""
    return text.removesuffix("</w>").replace("▁", " ").replace("Ġ", " ").strip() or text
