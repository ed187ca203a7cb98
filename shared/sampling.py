"""Autoregressive sampling: the loop behind every room whose model writes one token at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from transformers import LogitsProcessor, PreTrainedModel


@dataclass(frozen=True)
class SampledToken:
    """A token id and the probability that the model gave it before any sampling rule."""

    id: int
    probability: float


def sample_tokens(
    model: PreTrainedModel,
    prompt_ids: Sequence[int],
    processors: Sequence[LogitsProcessor],
    rng: torch.Generator,
    stop: Event,
) -> Iterator[SampledToken]:
    """Continue ``prompt_ids`` until the context is full or ``stop`` is set.

    Keys and values of earlier tokens are kept, so that each step computes one token only. The
    caller decides where a text ends, by closing this generator.

    Args:
        model: A causal language model of transformers.
        prompt_ids: At least one token id, and fewer than the context holds.
        processors: Sampling rules, each called with all ids (1, T) and the logits (1, V).
        rng: On the CPU, so that a seed means the same on every device.
        stop: Ends the sampling before the next token.
    """
    import torch

    ids = torch.tensor([prompt_ids])  # (1, T)
    new_ids, past = ids, None
    for _ in range(model.config.max_position_embeddings - len(prompt_ids)):
        if stop.is_set():
            return
        with torch.inference_mode():
            output = model(new_ids.to(model.device), past_key_values=past, use_cache=True)
            logits = output.logits[:, -1].float().cpu()  # (1, V)
            probabilities = logits.softmax(-1)
            for process in processors:
                logits = process(ids, logits)
            new_ids = torch.multinomial(logits.softmax(-1), 1, generator=rng)  # (1, 1)
        past, ids = output.past_key_values, torch.cat([ids, new_ids], dim=1)
        token = int(new_ids)
        yield SampledToken(token, probabilities[0, token].item())


def sampling_rules(temperature: float, *, top_k: int = 0, top_p: float = 1.0) -> list[Any]:
    """The sampling rules of transformers, in the order in which its ``generate`` applies them.

    Args:
        temperature: Divides the logits; 0 always takes the likeliest token.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability
            (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration").
    """
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    if temperature == 0:
        return [TopKLogitsWarper(1)]
    rules: list[Any] = []
    if temperature != 1:
        rules.append(TemperatureLogitsWarper(temperature))
    if top_k:
        rules.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        rules.append(TopPLogitsWarper(top_p))
    return rules
