"""The next token: its probabilities, and drawing one by hand. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from demos.text.generate import BoldRequest
from demos.text.tokens import (
    MAX_TEXT,
    begin,
    begin_document,
    decode_tokens,
    label_tokens,
    open_model,
    read_text,
)
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.sampling import TokenSequence, draw_tokens, skip_draws

if TYPE_CHECKING:
    import torch

NAMED = 300  # how many of the likeliest tokens are shown by name


class LabRequest(BoldRequest):
    """A text and what to do at its end.

    Attributes:
        text: What the visitor wrote.
        made: Ids of tokens that were added to it one by one.
        action: ``look`` at what could come next; first ``draw`` a token, or ``take`` the one given.
        token: Id of the token to take.
        seed: Of the sampling. The n-th token drawn is the n-th that a text with this seed gets.
    """

    text: str = Field("", max_length=MAX_TEXT)
    made: tuple[int, ...] = ()
    action: Literal["look", "draw", "take"] = "look"
    token: int = Field(0, ge=0)


@dataclass(frozen=True)
class Prediction:
    """What could come next.

    Attributes:
        text: All of it, the tokens that were added included.
        made: Ids of those.
        logits: (V,) float32, what the model gives each token of its vocabulary.
        order: Ids, likeliest first, (V,).
        labels: Names of the likeliest ``NAMED`` tokens, in that order.
        unread: Tokens at the beginning that the model's context had no room for.
        added: Name and probability of the token that was just added.
        ended: Whether that would have been the mark for the end of the text.
    """

    text: str
    made: tuple[int, ...]
    logits: np.ndarray = field(repr=False)
    order: np.ndarray = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    unread: int = 0
    added: tuple[str, float] | None = None
    ended: bool = False


def predict_next(language_model: LanguageModel, request: LabRequest) -> Prediction:
    """Add a token if one is asked for, and return the model's logits for the next.

    A text that is too long is read from its end. An empty one is read as the beginning of a
    document.

    Raises:
        InvalidRequest: The token to take is not in the vocabulary.
    """
    tokenizer = language_model.tokenizer
    written = [piece.id for piece in read_text(tokenizer, request.text)]
    first = begin(tokenizer) if written else begin_document(language_model)
    made, added, ended = request.made, None, False
    logits = next_logits(language_model, [*first, *written, *made])
    if request.action != "look":
        token = request.token if request.action == "take" else _draw(request, written, logits)
        if token >= len(logits):
            raise InvalidRequest(f"There is no token {token}: the model knows {len(logits):,}.")
        (label,) = label_tokens(tokenizer, [token])
        added = label, float(logits.softmax(-1)[token])
        ended = token in language_model.ends
        if not ended:
            made = (*made, token)
            logits = next_logits(language_model, [*first, *written, *made])
    order = logits.argsort(descending=True, stable=True)
    return Prediction(
        text=request.text + decode_tokens(tokenizer, made),
        made=made,
        logits=logits.numpy(),
        order=order.numpy(),
        labels=tuple(label_tokens(tokenizer, order[:NAMED].tolist())),
        unread=max(0, len(first) + len(written) + len(made) - language_model.context),
        added=added,
        ended=ended,
    )


def next_logits(language_model: LanguageModel, ids: list[int]) -> torch.Tensor:
    """Return what the model gives every token after the last ``ids`` that it has room for: (V,)."""
    import torch

    model = open_model(language_model)
    read = torch.tensor([ids[-language_model.context :]], device=model.device)
    with torch.inference_mode():
        return model(read, use_cache=False, logits_to_keep=1).logits[0, -1].float().cpu()


def _draw(request: LabRequest, written: list[int], logits: torch.Tensor) -> int:
    """Draw a token as a text of this seed would at this place."""
    import torch

    rng = torch.Generator("cpu").manual_seed(request.seed)
    sequence = TokenSequence([*written, *request.made] or [0], request.sampling, rng)
    skip_draws(sequence, len(request.made), len(logits))
    (token,) = draw_tokens([sequence], logits[None])
    return token.id
