"""Which words paint which pixels: the cross-attention of a U-Net, recorded. No Gradio here.

In every layer of cross-attention each place of the picture spreads its attention over the tokens of
the prompt; the shares sum to 1. They are averaged over heads and layers, step by step, as in DAAM
(Tang et al. 2023, arXiv:2210.04885). The drawing is a separate one, with the request's settings and
seed, so that who only draws pays nothing for this.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from demos.image.generate import ImageRequest, ImageStep, Word, borrow_pipeline, run_pipeline
from shared.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

MOST_SIDE = 32  # of a map; that of a large model would fill a page's memory otherwise


@dataclass(frozen=True)
class AttentionMaps:
    """Where the network looked up which token.

    Attributes:
        maps: (steps, tokens, h, w) float16; over the tokens they sum to 1 at every step and place.
        words: How the prompt was read; the maps follow the order of their pieces.
        first: The token at which the first word begins; those before mark the start.
        pooled: Whether the words have a second way into the network, which no map shows.
    """

    maps: np.ndarray
    words: tuple[Word, ...]
    first: int = 1
    pooled: bool = False

    def of_words(self) -> tuple[list[str], np.ndarray]:
        """Return the words that were read, and their share of each place's attention.

        Commas and the like count as marks here, and so do the start, the end and the padding.

        Returns:
            N words, and (steps, N, h, w) float32.
        """
        steps, tokens, height, width = self.maps.shape
        last = tokens - 1  # at the latest, the end-of-text token is there
        names, parts, begin = [], [np.empty((steps, 0, height, width), np.float32)], self.first
        for word in self.words:
            end = min(begin + word.pieces, last)
            if begin < end and any(map(str.isalnum, word.text)):
                names.append(word.text)
                parts.append(self.maps[:, begin:end].sum(axis=1, keepdims=True, dtype=np.float32))
            begin += word.pieces
        return names, np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class AttentionStep:
    """The drawing after one more step.

    Attributes:
        drawing: The step, as any drawing yields it.
        maps: With the finished picture only.
    """

    drawing: ImageStep
    maps: AttentionMaps | None = None


def has_attention_maps(pipeline: Any) -> bool:
    """Whether words reach the picture through layers that can be watched."""
    return bool(_cross_attention(getattr(pipeline, "unet", None)))


def attention_maps(pipeline: Any, request: ImageRequest, stop: Event) -> Iterator[AttentionStep]:
    """Draw the first picture of ``request`` once more, watching where each word is looked up.

    The stock layers compute the picture, which is the same bit for bit. Guided, the network runs
    with and without the words: what is watched is the half with them.

    Args:
        pipeline: A text-to-image pipeline of diffusers with a U-Net. It is not changed, and others
            may draw with it meanwhile.
        request: What to draw; its seed must be drawn.
        stop: Ends the drawing; no maps come then.

    Raises:
        InvalidRequest: The model has no such layers, or the scheduler does not suit it.
    """
    if not has_attention_maps(pipeline):
        raise InvalidRequest(
            "This model is no U-Net: it does not look words up place by place in layers of their "
            "own. Which words paint what can be shown for Critters and for models of the Stable "
            "Diffusion type."
        )
    own = borrow_pipeline(pipeline, request.scheduler)
    own.unet = share_network(pipeline.unet)
    recorder = _Recorder(own.unet)
    size = {side: value for side in ("width", "height") if (value := getattr(request, side))}
    for step in run_pipeline(own, request, stop, seeds=request.seeds[:1], **size):
        if not step.images:
            yield AttentionStep(step)
            continue
        maps = AttentionMaps(
            recorder.collect(),
            step.words,
            own.tokenizer.num_special_tokens_to_add() - 1,  # all but the end's
            bool(own.unet.config.get("addition_embed_type")),
        )
        yield AttentionStep(step, maps)


def share_network(network: Any) -> Any:
    """Copy a network's modules but none of its weights: what is hung on the copy is private."""
    weights = chain(network.parameters(), network.buffers())
    memo = {id(tensor): tensor for tensor in weights}
    for module in network.modules():  # accelerate's hooks lead to other networks
        if hook := getattr(module, "_hf_hook", None):
            memo[id(hook)] = hook
    return copy.deepcopy(network, memo)


def _cross_attention(unet: Any) -> list[Any]:
    if unet is None:
        return []
    return [part for name, part in unet.named_modules() if name.endswith(".attn2")]


class _Recorder:
    """Watches a network that nobody else uses."""

    def __init__(self, unet: Any) -> None:
        self._steps: list[np.ndarray] = []
        self._layers: list[torch.Tensor] = []
        self._size = (0, 0)
        for layer in _cross_attention(unet):
            layer.set_processor(_Watching(layer.processor, self._layers))
        unet.register_forward_pre_hook(self._begin, with_kwargs=True)
        unet.register_forward_hook(self._end)

    def collect(self) -> np.ndarray:
        """Return what was seen: (steps, tokens, h, w) float16."""
        return np.stack(self._steps)

    def _begin(self, _: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._size = (args[0] if args else kwargs["sample"]).shape[-2:]
        self._layers.clear()

    def _end(self, *_: Any) -> None:
        shapes = [_shape_of(layer.shape[1], self._size) for layer in self._layers]
        height, width = max(shapes)
        scale = min(1.0, MOST_SIDE / max(height, width))
        size = round(height * scale), round(width * scale)
        maps = [
            _resize(layer.reshape(-1, *shape), size)
            for layer, shape in zip(self._layers, shapes, strict=True)
        ]
        mean = sum(maps[1:], maps[0]) / len(maps)
        self._steps.append(mean.cpu().numpy().astype(np.float16))


class _Watching:
    """Lets the stock processor of a layer do its work, and keeps the attention beside it."""

    def __init__(self, stock: Any, layers: list[torch.Tensor]) -> None:
        self._stock, self._layers = stock, layers

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> torch.Tensor:
        if encoder_hidden_states is not None:
            # One picture: the last of the batch is the one that knows the words.
            self._layers.append(_attend(attn, hidden_states[-1:], encoder_hidden_states[-1:]))
        return self._stock(
            attn, hidden_states, encoder_hidden_states, attention_mask, *args, **kwargs
        )


def _attend(attn: Any, places: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return how the heads share their attention on average: (tokens, places) float32."""
    if attn.norm_cross:
        tokens = attn.norm_encoder_hidden_states(tokens)
    query, key = (
        layer(states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)  # (1, heads, N, width)
        for layer, states in ((attn.to_q, places), (attn.to_k, tokens))
    )
    query = query if attn.norm_q is None else attn.norm_q(query)
    key = key if attn.norm_k is None else attn.norm_k(key)
    scores = query.float() @ key.float().transpose(-1, -2) * attn.scale
    return scores.softmax(dim=-1).mean(dim=(0, 1)).T


def _shape_of(places: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the rows and columns of a layer with this many ``places``: halvings of ``size``."""
    for halvings in range(10):
        shape = -(-size[0] // 2**halvings), -(-size[1] // 2**halvings)
        if shape[0] * shape[1] == places:
            return shape
    raise ValueError(f"{places} places are no halving of {size}.")


def _resize(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bring (tokens, h, w) to ``size``. All tokens in the same way, so that they still sum to 1."""
    import torch.nn.functional as F

    if maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps[None], size, mode="bilinear", antialias=True)[0]
