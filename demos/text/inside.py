"""What happens in a language model while it reads: attention, and the logit lens. No Gradio here.

Attention: in every layer each head lets a token look back at the tokens before it, in shares that
sum to 1 (Vaswani et al. 2017, arXiv:1706.03762). The logit lens (nostalgebraist 2020, "interpreting
GPT: the logit lens") asks what the model would have said had it stopped after a layer, by sending
what that layer hands on straight to the last norm and the head.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from demos.text.tokens import MAX_TEXT, Piece, begin, label_tokens, open_model, read_text
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.requests import Request

if TYPE_CHECKING:
    import torch

MOST_TOKENS = 128
TOP = 5
# What the last norm before the head is called in the models of transformers.
NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "norm_f")
_UNFIT = (
    "This model cannot be looked into here: {}. Llama, Qwen and GPT-2 types of models can. "
    "Choose another model."
)


class InsideRequest(Request):
    """A text to read.

    Attributes:
        text: The model reads its first ``MOST_TOKENS`` tokens.
    """

    text: str = Field("Once upon a time", min_length=1, max_length=MAX_TEXT)


@dataclass(frozen=True)
class Inside:
    """What was seen while a text was read.

    Attributes:
        pieces: The T tokens that were read.
        total: Tokens of the whole text.
        attention: (layers, heads, T, T) float32: how much the third looks at the fourth. Each row
            sums to 1, and to what comes later there is 0.
        lens_ids: (layers + 1, T, TOP) ids of the tokens that each layer would have said next,
            likeliest first; layer 0 is the embedding, before any layer.
        lens_probabilities: Those tokens' probabilities, float32.
        labels: Names of all tokens in ``lens_ids``.
    """

    pieces: tuple[Piece, ...]
    total: int
    attention: np.ndarray = field(repr=False)
    lens_ids: np.ndarray = field(repr=False)
    lens_probabilities: np.ndarray = field(repr=False)
    labels: dict[int, str] = field(repr=False)


@dataclass(frozen=True)
class InsideStep:
    """How far the looking is: ``done`` of ``total`` layers, and with the last the result."""

    done: int
    total: int
    inside: Inside | None = None


def look_inside(
    language_model: LanguageModel, request: InsideRequest, stop: Event
) -> Iterator[InsideStep]:
    """Read the text once and tell where every head looked and what every layer would have said.

    The shared model is not changed: its modules are copied, its weights are not, and the copy
    computes attention in the plain way, which is the one that can be watched.

    Raises:
        InvalidRequest: The model is built in a way that this does not fit.
    """
    import torch

    tokenizer = language_model.tokenizer
    pieces = read_text(tokenizer, request.text)
    first = begin(tokenizer)
    read = pieces[: min(MOST_TOKENS, language_model.context - len(first))]
    if first:  # some models read a mark before every text, and may look at it
        marks = zip(first, label_tokens(tokenizer, first), strict=True)
        read = (*(Piece(id_, "", label) for id_, label in marks), *read)
    own = share_model(open_model(language_model))
    states, attention, truth = _read(own, [piece.id for piece in read])
    certain, chosen = [], []
    for done, state in enumerate(states, 1):
        if stop.is_set():
            return
        with torch.inference_mode():
            top = _find_likeliest(own.get_output_embeddings()(find_norm(own)(state))[0])
        certain.append(top[0])
        chosen.append(top[1])
        if done < len(states):
            yield InsideStep(done, len(states))
    if not torch.allclose(truth, certain[-1], atol=0.01):
        raise InvalidRequest(_UNFIT.format("its head does more than others'"))
    ids = torch.stack(chosen).numpy()
    known = np.unique(ids).tolist()
    inside = Inside(
        pieces=read,
        total=len(pieces) + len(first),
        attention=attention.numpy(),
        lens_ids=ids,
        lens_probabilities=torch.stack(certain).numpy(),
        labels=dict(zip(known, label_tokens(tokenizer, known), strict=True)),
    )
    yield InsideStep(len(states), len(states), inside)


def share_model(model: Any) -> Any:
    """Copy a model's modules but none of its weights, with attention that can be watched.

    What is set or hung on the copy is private: others may use the model meanwhile.
    """
    weights = chain(model.parameters(), model.buffers())
    own = copy.deepcopy(model, {id(tensor): tensor for tensor in weights})
    own.set_attn_implementation("eager")
    return own


def find_norm(model: Any) -> torch.nn.Module:
    """Return the norm between a model's last layer and its head.

    Raises:
        InvalidRequest: There is none under any of the usual names, or no head.
    """
    import torch

    body = model.base_model
    places = (body, getattr(body, "decoder", None))
    for place in places:
        for name in NORMS:
            norm = getattr(place, name, None)
            if isinstance(norm, torch.nn.Module) and model.get_output_embeddings() is not None:
                return norm
    raise InvalidRequest(_UNFIT.format("it has no last norm where others have it"))


def _read(own: Any, ids: list[int]) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """Read ``ids`` with a model that nobody else uses.

    Returns:
        What the embedding and each layer hand on, (1, T, width) each; the attention, (layers,
        heads, T, T); and the probabilities of the model's own likeliest tokens, (T, TOP).
    """
    import torch

    last: list[torch.Tensor] = []
    hook = find_norm(own).register_forward_pre_hook(lambda _, inputs: last.append(inputs[0]))
    with torch.inference_mode():
        output = own(
            torch.tensor([ids], device=own.device),
            use_cache=False,
            output_attentions=True,
            output_hidden_states=True,
        )
    hook.remove()
    attentions = getattr(output, "attentions", None)
    if not attentions or any(layer is None for layer in attentions):
        raise InvalidRequest(_UNFIT.format("its layers show no attention"))
    # The last of the hidden states has been through the norm already.
    states = [*output.hidden_states[:-1], last[0]]
    attention = torch.stack([layer[0].float().cpu() for layer in attentions])
    return states, attention, _find_likeliest(output.logits[0])[0]


def _find_likeliest(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return probabilities and ids of the likeliest tokens, (T, TOP) each, from (T, V)."""
    top = logits.float().topk(TOP)
    probabilities = (top.values - logits.float().logsumexp(-1, keepdim=True)).exp()
    return probabilities.cpu(), top.indices.cpu()
