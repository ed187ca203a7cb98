"""Autoregressive sampling: the loop of every model that writes one token at a time."""

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
    """A token, and its likeliest alternatives.

    Attributes:
        id: Index in the vocabulary.
        probability: From the model's logits, before any logits processor.
        alternatives: The likeliest tokens and their probabilities, likeliest first.
    """

    id: int
    probability: float
    alternatives: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn from the logits.

    Attributes:
        temperature: Divides the logits; 0 always takes the likeliest token.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability
            (Holtzman et al. 2020, arXiv:1904.09751).
        min_p: Leave out tokens with less than this share of the likeliest one's probability
            (Nguyen et al. 2024, arXiv:2407.01082).
        repetition_penalty: Lowers the logits of tokens that are already in the text (Keskar et al.
            2019, arXiv:1909.05858); 1 is no penalty.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0

    def processors(self) -> tuple[LogitsProcessor, ...]:
        """Logits processors of transformers, in the order of its ``generate``."""
        return _make_processors(self)


@dataclass
class TokenSequence:
    """A text that is being written, and all that its next token depends on.

    Attributes:
        ids: The prompt, then the tokens written so far. The prompt has at least one token and fewer
            than the context holds.
        sampling: How tokens are drawn.
        rng: On the CPU, so that a seed gives the same text on every device.
        processors: Applied before those of ``sampling``.
        propose: Guesses the tokens that follow ``ids``. An engine may verify them all in one
            forward pass and drop the wrong ones. This changes the speed, never the text (Stern et
            al. 2018, arXiv:1811.03115).
    """

    ids: list[int]
    sampling: Sampling
    rng: torch.Generator
    processors: Sequence[LogitsProcessor] = ()
    propose: Callable[[Sequence[int]], Sequence[int]] | None = None


class Engine(Protocol):
    """Generates tokens with a model; several threads may call ``write`` at once."""

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """Continue ``sequence``, adding to its ids, until the context is full or ``stop`` is set.

        The caller decides where a text ends, by closing the iterator.
        """
        ...


@functools.lru_cache(64)
def _make_processors(sampling: Sampling) -> tuple[LogitsProcessor, ...]:
    import transformers as hf

    processors: list[Any] = []
    if sampling.repetition_penalty != 1:
        processors.append(hf.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.temperature == 0:
        return (*processors, hf.TopKLogitsWarper(1))
    if sampling.temperature != 1:
        processors.append(hf.TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        processors.append(hf.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(hf.TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        processors.append(hf.MinPLogitsWarper(sampling.min_p))
    return tuple(processors)


def draw_tokens(sequences: Sequence[TokenSequence], logits: torch.Tensor) -> list[SampledToken]:
    """Draw the next token of each sequence and add it to its ids.

    Rows with equal settings are processed as one batch, which is faster. The result is the same:
    rows do not depend on each other, and each has its own ``rng``.

    Args:
        sequences: B sequences.
        logits: (B, V) float32, on the CPU.
    """
    import torch
    from transformers import TopKLogitsWarper

    with torch.inference_mode():
        probabilities = logits.softmax(-1)
        likeliest = probabilities.topk(min(ALTERNATIVES, logits.shape[-1]))
        tokens = [0] * len(sequences)
        token_probabilities = [0.0] * len(sequences)
        for rows in _group(sequences):
            first = sequences[rows[0]]
            index = slice(None) if len(rows) == len(sequences) else rows  # a slice is faster
            scores, kept = logits[index], None
            input_ids: Any = None  # stacked only for the few processors that read it
            if first.processors or first.sampling.repetition_penalty != 1:
                input_ids = _pad([sequences[row].ids for row in rows])
            for processor in (*first.processors, *first.sampling.processors()):
                if isinstance(processor, TopKLogitsWarper) and processor not in first.processors:
                    # Later processors sort, which is faster among k scores. Same result.
                    scores, kept = scores.topk(min(processor.top_k, scores.shape[-1]))
                else:
                    scores = processor(input_ids, scores)
            # Exponential race: argmax(p_i / e_i), e_i ~ Exp(1). Equivalent to multinomial, with
            # one RNG per row.
            noise = torch.empty_like(scores)
            for row, row_noise in zip(rows, noise, strict=True):
                row_noise.exponential_(generator=sequences[row].rng)
            drawn = scores.softmax(-1).div_(noise).argmax(-1, keepdim=True)
            drawn = drawn if kept is None else kept.gather(1, drawn)
            values = probabilities[index].gather(1, drawn)
            for row, (token,), (value,) in zip(rows, drawn.tolist(), values.tolist(), strict=True):
                tokens[row], token_probabilities[row] = token, value
        tops = zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True)
    for sequence, token in zip(sequences, tokens, strict=True):
        sequence.ids.append(token)
    return [
        SampledToken(token, probability, tuple(zip(*top, strict=True)))
        for token, probability, top in zip(tokens, token_probabilities, tops, strict=True)
    ]


def skip_draws(sequence: TokenSequence, count: int, vocabulary: int) -> None:
    """Advance the rng of ``sequence`` as if ``count`` tokens had been drawn.

    Args:
        sequence: Without ``processors``.
        count: Number of tokens to skip.
        vocabulary: V, the size of the vocabulary.
    """
    import torch
    from transformers import TopKLogitsWarper

    # draw_tokens draws one number for each token that is left after top-k.
    kept = [
        one.top_k for one in sequence.sampling.processors() if isinstance(one, TopKLogitsWarper)
    ]
    noise = torch.empty(min([vocabulary, *kept]))
    for _ in range(count):
        noise.exponential_(generator=sequence.rng)


def _group(sequences: Sequence[TokenSequence]) -> Iterator[list[int]]:
    """Yield the rows with equal settings. A sequence with ``processors`` is a group by itself."""
    groups: dict[Any, list[int]] = {}
    for row, sequence in enumerate(sequences):
        groups.setdefault(row if sequence.processors else sequence.sampling, []).append(row)
    yield from groups.values()


def _pad(texts: Sequence[list[int]]) -> torch.Tensor:
    """Stack ids, (B, T); the last id of shorter texts is repeated, which no processor notices."""
    import torch

    longest = max(map(len, texts))
    padded = [ids + ids[-1:] * (longest - len(ids)) for ids in texts]
    return torch.from_numpy(np.array(padded))  # several times as fast as torch.tensor


class TransformersEngine:
    """Runs any causal language model of transformers with its own ``forward``."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def write(self, sequence: TokenSequence, stop: Event) -> Iterator[SampledToken]:
        """See ``Engine``. With a KV cache: each step computes one token."""
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
