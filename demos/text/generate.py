"""Autoregressive text generation, one token at a time. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from threading import Event
from typing import Any

from pydantic import Field

from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.requests import Request
from shared.sampling import sample_tokens, sampling_rules


class TextRequest(Request):
    """What to write on, and how boldly.

    Attributes:
        prompt: What the model continues or answers.
        max_new_tokens: Tokens to add; a token is about three quarters of a word.
        temperature: Divides the logits; 0 always takes the likeliest token.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability
            (Holtzman et al. 2020, "The Curious Case of Neural Text Degeneration").
    """

    prompt: str = Field("Once upon a time", min_length=1, max_length=20_000)
    max_new_tokens: int = Field(160, ge=1, le=400)
    temperature: float = Field(0.8, ge=0.0, le=2.0)
    top_k: int = Field(40, ge=0, le=200)
    top_p: float = Field(0.95, ge=0.05, le=1.0)


@dataclass(frozen=True)
class Token:
    """A generated token: its text and the probability that the model gave it before sampling."""

    text: str
    probability: float


@dataclass(frozen=True)
class TextStep:
    """The state after one more token.

    Attributes:
        text: All that has been generated so far, without the prompt.
        tokens: The same, token by token; their texts joined give ``text``.
    """

    text: str
    tokens: tuple[Token, ...]


def generate_text(
    language_model: LanguageModel, request: TextRequest, stop: Event
) -> Iterator[TextStep]:
    """Yield after every token until the model ends its text, the budget is used, or ``stop``.

    Sampling draws from a generator of its own, so simultaneous calls do not disturb each other
    and a seed gives the same text each time.

    Raises:
        InvalidRequest: The prompt is empty or longer than the model's context.
    """
    import torch

    model, tokenizer = language_model.model, language_model.tokenizer
    prompt_ids = _encode_prompt(language_model, request.prompt)
    room = model.config.max_position_embeddings - len(prompt_ids)
    if room < 1:
        raise InvalidRequest(
            f"The prompt is too long for this model: {len(prompt_ids):,} tokens, "
            f"and it reads {model.config.max_position_embeddings - 1:,} at most. Shorten it."
        )
    rng = torch.Generator("cpu").manual_seed(request.seed)
    rules = sampling_rules(request.temperature, top_k=request.top_k, top_p=request.top_p)
    ends = _end_ids(language_model)

    made: list[int] = []
    tokens: list[Token] = []
    text = ""
    sampled = sample_tokens(model, prompt_ids, rules, rng, stop)
    for token in islice(sampled, request.max_new_tokens):
        if token.id in ends:
            return
        made.append(token.id)
        # A character may span tokens: an unfinished one decodes to U+FFFD and is held back.
        whole = str(tokenizer.decode(made, skip_special_tokens=True)).rstrip("\ufffd")
        tokens.append(Token(whole[len(text) :], token.probability))
        text = whole
        yield TextStep(text, tuple(tokens))


def _encode_prompt(language_model: LanguageModel, prompt: str) -> list[int]:
    """Turn the prompt into token ids, as a chat turn where the model expects one."""
    tokenizer = language_model.tokenizer
    if not prompt.strip():
        raise InvalidRequest("The prompt is empty. Write a few words first.")
    if tokenizer.chat_template:
        turn: Any = [{"role": "user", "content": prompt}]
        prompt = str(
            tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        )
    return list(tokenizer(prompt).input_ids)


def _end_ids(language_model: LanguageModel) -> set[int]:
    """Token ids that end a text; a model may have several."""
    ends = language_model.model.generation_config.eos_token_id
    if ends is None:
        ends = language_model.tokenizer.eos_token_id
    return set(ends) if isinstance(ends, list) else {ends}
