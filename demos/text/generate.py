"""Autoregressive text generation, one token at a time. No Gradio here."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from threading import Event
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.requests import Request
from shared.sampling import SampledToken, Sampling, TokenSequence

MAX_PROMPT = 20_000


class BoldRequest(Request):
    """How boldly to draw a token.

    Attributes:
        temperature: Divides the logits; 0 always takes the likeliest token.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability.
        min_p: Leave out tokens with less than this share of the likeliest one's probability.
    """

    temperature: float = Field(0.8, ge=0.0, le=2.0)
    top_k: int = Field(40, ge=0, le=200)
    top_p: float = Field(0.95, ge=0.05, le=1.0)
    min_p: float = Field(0.0, ge=0.0, le=0.5)

    @property
    def sampling(self) -> Sampling:
        """The sampling settings, for ``shared.sampling``."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.min_p)


class TextRequest(BoldRequest):
    """What to write on, and how boldly.

    Attributes:
        prompt: What the model continues, word for word.
        begun: Tokens that the continuation begins with; where a text branches, this is its stem.
        max_new_tokens: Tokens to add to both; a token is about three quarters of a word.
        repetition_penalty: Makes tokens that are already in the text less likely; 1 is no penalty.
        keep_end: Read the end of a prompt that is longer than the context, instead of refusing it.
        as_message: A model that was trained to answer gets the prompt as a message to it.
    """

    prompt: str = Field("Once upon a time", min_length=1, max_length=MAX_PROMPT)
    begun: tuple[int, ...] = ()
    max_new_tokens: int = Field(160, ge=1, le=400)
    repetition_penalty: float = Field(1.0, ge=1.0, le=2.0)
    keep_end: bool = False
    as_message: bool = False

    @property
    def sampling(self) -> Sampling:
        """The sampling settings, for ``shared.sampling``."""
        return replace(super().sampling, repetition_penalty=self.repetition_penalty)


class Turn(BaseModel):
    """Something said in a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: Literal["system", "user", "assistant"]
    content: str = Field(max_length=MAX_PROMPT)


class ChatRequest(TextRequest):
    """What to answer: the turns of a conversation, the last of them the visitor's."""

    prompt: str = Field("", max_length=0)
    turns: tuple[Turn, ...] = Field(min_length=1, max_length=200)


@dataclass(frozen=True)
class Token:
    """A token of a text and its alternatives.

    Attributes:
        id: In the model's vocabulary.
        text: What it adds; empty if it ends within a character, which a later token completes.
        probability: That the model gave it, before any sampling rule.
        alternatives: The likeliest ids, texts and probabilities, likeliest first.
    """

    id: int
    text: str
    probability: float
    alternatives: tuple[tuple[int, str, float], ...] = ()


@dataclass(frozen=True)
class TextStep:
    """The state after one more token.

    Attributes:
        tokens: All that has been written so far, without the prompt and what was begun.
        is_over: The model has ended its text here.
        clipped: Characters at the beginning of the prompt that the model did not read.
    """

    tokens: tuple[Token, ...] = ()
    is_over: bool = False
    clipped: int = 0

    @property
    def text(self) -> str:
        """The tokens' texts, joined."""
        return "".join(token.text for token in self.tokens)


def generate_text(
    language_model: LanguageModel, request: TextRequest, stop: Event
) -> Generator[TextStep, None, None]:
    """Yield after every token until the model ends its text, the budget is used, or ``stop``.

    Each call has its own random generator, so simultaneous calls do not disturb each other
    and a seed gives the same text each time. The last step of a text that the model ended has the
    same tokens as the one before.

    Raises:
        InvalidRequest: The prompt is empty, cannot be read as a conversation, or is longer than
            the model's context.
    """
    import torch

    prompt_ids, clipped = encode_prompt(language_model, request)
    rng = torch.Generator("cpu").manual_seed(request.seed)
    engine, tokenizer = language_model.engine, language_model.tokenizer
    unfold = Unfolder(tokenizer, request.begun)
    tokens: list[Token] = []
    sequence = TokenSequence([*prompt_ids, *request.begun], request.sampling, rng)
    sampled = engine.write(sequence, stop)
    for token in islice(sampled, request.max_new_tokens):
        if token.id in language_model.ends:
            yield TextStep(tuple(tokens), is_over=True, clipped=clipped)
            return
        tokens.append(unfold(token))
        yield TextStep(tuple(tokens), clipped=clipped)


def encode_prompt(language_model: LanguageModel, request: TextRequest) -> tuple[list[int], int]:
    """Turn a prompt, or the turns of a conversation, into token ids.

    Returns:
        The ids, which leave room for one token at least, and how many characters of the beginning
        are not among them.

    Raises:
        InvalidRequest: The prompt is empty, cannot be read as a conversation, or is too long and
            its end may not be kept alone.
    """
    tokenizer = language_model.tokenizer
    unknown = [id_ for id_ in request.begun if not 0 <= id_ < len(tokenizer)]
    if unknown:
        raise InvalidRequest(
            f"The text cannot begin with token {unknown[0]}: this model knows 0 to "
            f"{len(tokenizer) - 1:,}."
        )
    room = language_model.context - 1 - len(request.begun)
    if request.begun and room < 1:
        raise InvalidRequest(_full(language_model))
    if isinstance(request, ChatRequest):
        return _encode_turns(language_model, request.turns, room)
    if not request.prompt.strip():
        raise InvalidRequest("The prompt is empty. Write a few words first.")
    if request.as_message and tokenizer.chat_template:
        return _encode_turns(language_model, [Turn(role="user", content=request.prompt)], room)
    ids = list(tokenizer(request.prompt, verbose=False).input_ids)
    if len(ids) <= room:
        return ids, 0
    if request.begun and len(ids) + 1 < language_model.context:
        raise InvalidRequest(_full(language_model))
    if not request.keep_end:
        raise InvalidRequest(
            f"Your beginning is too long for this model: {len(ids):,} tokens, and it reads "
            f'{room:,} at most. Shorten it, or tick "Read only the end".'
        )
    # What it is to write must fit in, too; but half of the context is for reading.
    kept = ids[-max(room + 1 - request.max_new_tokens, room // 2, 1) :]
    read = str(tokenizer.decode(kept, skip_special_tokens=True))
    return kept, max(0, len(request.prompt) - len(read))


def _full(language_model: LanguageModel) -> str:
    return (
        f"The text fills all {language_model.context:,} tokens that this model can look back on. "
        "Edit the text to begin again with its end, or press Another way."
    )


def _encode_turns(
    language_model: LanguageModel, turns: Sequence[Turn], room: int
) -> tuple[list[int], int]:
    """Write a conversation as the model was trained to read it, leaving out its earliest turns."""
    tokenizer = language_model.tokenizer
    if not tokenizer.chat_template:
        raise InvalidRequest(
            "This model continues texts; it was never trained to answer. "
            "To chat, choose one that was, such as SmolLM2."
        )
    if not turns[-1].content.strip():
        raise InvalidRequest("The message is empty. Write a few words first.")
    rules = [turn for turn in turns if turn.role == "system"]
    said = [turn for turn in turns if turn.role != "system"]
    total = sum(len(turn.content) for turn in said)
    while said:
        messages: Any = [turn.model_dump() for turn in (*rules, *said)]
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True, **language_model.chat_options
        )
        ids = list(tokenizer(str(text), add_special_tokens=False, verbose=False).input_ids)
        if len(ids) <= room:
            return ids, total - sum(len(turn.content) for turn in said)
        said = said[2:]  # a question goes with its answer
    raise InvalidRequest(
        f"The message is too long for this model: {len(ids):,} tokens, and it reads {room:,} at "
        "most. Shorten it."
    )


class Unfolder:
    """Turns ids into text as they come: a character may span tokens."""

    def __init__(self, tokenizer: Any, begun: Sequence[int] = ()) -> None:
        """Begin after the tokens ``begun``."""
        from tokenizers.decoders import DecodeStream

        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(ids=list(begun), skip_special_tokens=True)

    def __call__(self, token: SampledToken) -> Token:
        """Return ``token`` with its text."""
        alternatives = tuple(
            (id_, read_token(self._backend, id_), probability)
            for id_, probability in token.alternatives
        )
        text = self._stream.step(self._backend, token.id) or ""
        return Token(token.id, text, token.probability, alternatives)


def read_token(backend: Any, id_: int) -> str:
    """Return what a token looks like alone, a replacement character for half a letter."""
    return str(backend.decode([id_], skip_special_tokens=False))
