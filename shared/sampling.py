"""Autoregressive sampling: the loop behind every room whose model writes one token at a time."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import torch
    from transformers import LogitsProcessor, PreTrainedModel

ALTERNATIVES = 10


@dataclass(frozen=True)
class SampledToken:
    """A token, and what else might have stood in its place.

    Attributes:
        id: Of the token in the vocabulary.
        probability: That the model gave it, before any sampling rule.
        alternatives: The likeliest tokens and their probabilities, likeliest first.
    """

    id: int
    probability: float
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How boldly a token is drawn.

    Attributes:
        temperature: Divides the logits; 0 always takes the likeliest token.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability
            (Holtzman et al. 2020, arXiv:1904.09751).
        min_p: Leave out tokens with less than this share of the likeliest one's probability
            (Nguyen et al. 2024, arXiv:2407.01082).
        repetition_penalty: Divides what speaks for tokens that stand in the text already
            (Keskar et al. 2019, arXiv:1909.05858); 1 is no penalty.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def processors(self) -> tuple[LogitsProcessor, ...]:
        """The rules of transformers, in the order in which its ``generate`` applies them."""
        return _make_processors(self)


@dataclass
class TokenSequence:
    """A text in the making: what the drawing of its next token depends on.

    Attributes:
        ids: The prompt, at least one token id and fewer than the context holds, and then what is
            written.
        sampling: How boldly.
        rng: On the CPU, so that a seed means the same on every device.
        rules: Processors that come before those of ``sampling``.
        propose: Guesses what follows ``ids``. A engine may look at a guess together with what
            stands before it, which is faster than one after the other; what does not come true is
            thrown away. It changes how fast the text is written, never the text (Stern et al. 2018,
            arXiv:1811.03115).
    """

    ids: list[int]
    sampling: Sampling
    rng: torch.Generator
    rules: Sequence[LogitsProcessor] = ()
    propose: Callable[[Sequence[int]], Sequence[int]] | None = None


class Engine(Protocol):
    """Writes with a model; ``write`` may be called by several threads at once."""

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """Continue ``sequence``, adding to its ids, until the context is full or ``stop`` is set.

        The caller decides where a text ends, by closing the iterator.
        """
        ...


@functools.lru_cache(64)
def _make_processors(sampling: Sampling) -> tuple[LogitsProcessor, ...]:
    import transformers as hf

    rules: list[Any] = []
    if sampling.repetition_penalty != 1:
        rules.append(hf.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature == 0:
        return (*rules, hf.TopKLogitsWarper(1))
    if sampling.temperature != 1:
        rules.append(hf.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        rules.append(hf.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        rules.append(hf.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        rules.append(hf.MinPLogitsWarper(sampling.min_p))
    return tuple(rules)


def draw_tokens(sequences: Sequence[TokenSequence], logits: torch.Tensor) -> list[SampledToken]:
    """Draw the next token of each sequence and add it to its ids.

    Texts with equal settings are handled together, which is faster and changes nothing: every row
    is computed for itself and drawn with its own generator.

    Args:
        sequences: B texts.
        logits: (B, V) float32, on the CPU.
    """
    import torch
    from transformers import TopKLogitsWarper

    with torch.inference_mode():
        probabilities = logits.softmax(-1)
        likeliest = probabilities.topk(min(ALTERNATIVES, logits.shape[-1]))
        chosen = [0] * len(sequences)
        own = [0.0] * len(sequences)
        for rows in _group(sequences):
            first = sequences[rows[0]]
            together = slice(None) if len(rows) == len(sequences) else rows  # a list takes longer
            scores, kept = logits[together], None
            written: Any = None  # stacking it takes time, and few rules look at it
            if first.rules or first.sampling.repetition_penalty != 1:
                written = _pad([sequences[row].ids for row in rows])
            for rule in (*first.rules, *first.sampling.processors()):
                if isinstance(rule, TopKLogitsWarper) and rule not in first.rules:
                    # The rules after it sort: faster among the few that are left. Same result.
                    scores, kept = scores.topk(min(rule.top_k, scores.shape[-1]))
                else:
                    scores = rule(written, scores)
            # What torch.multinomial does for one row, with the dice of each: the token wins whose
            # waiting time is the shortest when the likelier come the oftener.
            waits = torch.empty_like(scores)
            for row, wait in zip(rows, waits, strict=True):
                wait.exponential_(generator=sequences[row].rng)
            drawn = scores.softmax(-1).div_(waits).argmax(-1, keepdim=True)
            drawn = drawn if kept is None else kept.gather(1, drawn)
            given = probabilities[together].gather(1, drawn)
            for row, (token,), (value,) in zip(rows, drawn.tolist(), given.tolist(), strict=True):
                chosen[row], own[row] = token, value
        tops = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    for sequence, token in zip(sequences, chosen, strict=True):
        sequence.ids.append(token)
    return [
        SampledToken(token, probability, tuple(zip(ids, values, strict=True)))
        for token, probability, (ids, values) in zip(chosen, own, tops, strict=True)
    ]


def skip_draws(sequence: TokenSequence, count: int, vocabulary: int) -> None:
    """Throw the dice of ``sequence`` as ``count`` tokens drawn would have, and write nothing.

    Args:
        sequence: Has no rules of its own.
        count: Tokens not drawn.
        vocabulary: V, how many tokens there are.
    """
    import torch
    from transformers import TopKLogitsWarper

    # A throw waits for each token that it decides among: see draw_tokens.
    kept = [
        rule.top_k for rule in sequence.sampling.processors() if isinstance(rule, TopKLogitsWarper)
    ]
    waits = torch.empty(min([vocabulary, *kept]))
    for _ in range(count):
        waits.exponential_(generator=sequence.rng)


def _group(sequences: Sequence[TokenSequence]) -> Iterator[list[int]]:
    """Yield the numbers of sequences with equal settings; rules of their own set a text apart."""
    groups: dict[Any, list[int]] = {}
    for number, sequence in enumerate(sequences):
        groups.setdefault(number if sequence.rules else sequence.sampling, []).append(number)
    yield from groups.values()


def _pad(texts: Sequence[list[int]]) -> torch.Tensor:
    """Stack ids, (B, T), repeating the last of shorter texts: to be there twice changes nothing."""
    import torch

    longest = max(map(len, texts))
    padded = [ids + ids[-1:] * (longest - len(ids)) for ids in texts]
    return torch.from_numpy(np.array(padded))  # several times as fast as torch.tensor


class TransformersEngine:
    """Writes with any causal language model of transformers, through its own ``forward``."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """See ``Engine``. Keys and values are kept: each step computes one token only."""
        import torch

        ids, past = list(sequence.ids), None
        for _ in range(self.model.config.max_position_embeddings - len(ids)):
            if stop.is_set():
                return
            with torch.inference_mode():
                output = self.model(
                    torch.tensor([ids], device=self.model.device),
                    past_key_values=past,
                    use_cache=True,
                )
            past = output.past_key_values
            (token,) = draw_tokens([sequence], output.logits[:, -1].float().cpu())
            ids = [token.id]
            yield token
