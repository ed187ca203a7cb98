"""A small Llama's arithmetic in numpy, for many texts at once.

A model of a few million weights spends its time between the operations, not in them: a step of
``LlamaForCausalLM`` is some three hundred calls of torch, and each takes longer to arrive at the
arithmetic than the arithmetic takes. numpy arrives several times sooner, and here each layer is two
dozen operations on memory that is set up once. The mathematics is that of ``LlamaForCausalLM``
(Touvron et al. 2023, arXiv:2302.13971); the results agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Larger models gain little: their time goes into the arithmetic. And they would be in memory twice.
MOST_PARAMETERS = 50_000_000


@dataclass(frozen=True, eq=False)
class _Layer:
    """The matrices of one layer, (out, in); the scales of its norms are multiplied into them."""

    qkv: np.ndarray
    out: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


def can_decode(model: PreTrainedModel) -> bool:
    """Whether ``Decoder`` knows how ``model`` is built, and is faster."""
    config: Any = model.config
    return (
        type(model).__name__ == "LlamaForCausalLM"
        and model.device.type == "cpu"
        and model.dtype == torch.float32
        and model.num_parameters() <= MOST_PARAMETERS
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and config.rope_parameters["rope_type"] == "default"
    )


class Decoder:
    """Computes the logits of next tokens for several texts, each at its own length.

    Texts live in rows 0, 1, ... without a gap; ``move`` fills one. It is not safe to use from
    several threads at once.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        """Take over the weights of ``model``, for which ``can_decode`` holds."""
        # Small matrices: on busy cores, numpy's threads wait for each other longer than they work.
        threadpool_limits(1, "blas")
        config: Any = model.config
        self.context = int(config.max_position_embeddings)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size = config.head_dim
        self.eps = np.float32(config.rms_norm_eps)
        network: Any = model.model
        self.embedding = _array(network.embed_tokens.weight)
        head = cast(Any, model.get_output_embeddings()).weight
        self.head = _array(head) * _array(network.norm.weight)
        self.layers = [self._take_over(layer) for layer in network.layers]
        angles = np.outer(np.arange(self.context), _array(network.rotary_emb.inv_freq))
        self.turns = np.exp(1j * angles).astype(np.complex64)  # (T, head size / 2)
        # Keys and values: (layers, 2, rows, kv heads, T, head size).
        shape = (len(self.layers), 2, 1, self.kv_heads, self.context, self.head_size)
        self.cache = np.zeros(shape, np.float32)
        self.lengths = [0]

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory, beside what it shares with the model."""
        layers = sum(layer.qkv.nbytes + layer.gate_up.nbytes for layer in self.layers)
        return self.cache.nbytes + self.head.nbytes + layers

    def read(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        """Begin a text in ``row`` and return the logits after ``ids``, (V,).

        ``ids`` are at least one and at most as many as the context holds.
        """
        if row == len(self.lengths):
            self.cache = np.concatenate([self.cache, np.zeros_like(self.cache)], axis=2)
            self.lengths += [0] * len(self.lengths)
        count = len(ids)
        x = self.embedding[list(ids)]  # (T, D)
        turns = self.turns[:count, None]
        ahead = np.triu(np.full((count, count), -np.inf, np.float32), 1)
        for layer, (keys, values) in zip(self.layers, self.cache[:, :, row], strict=True):
            q, k, v = self._project(layer, x, turns)
            keys[:, :count], values[:, :count] = k.swapaxes(0, 1), v.swapaxes(0, 1)
            q = q.reshape(count, self.kv_heads, self._group, self.head_size).transpose(1, 2, 0, 3)
            mixed = _attend(q, keys[:, None, :count], values[:, None, :count], ahead)
            x = self._finish(layer, x, mixed.transpose(2, 0, 1, 3).reshape(count, -1))
        self.lengths[row] = count
        return self._predict(x[-1:])[0]

    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Add one token to each of the first rows and return the logits after it, (B, V).

        None of these rows may be full.
        """
        count = len(ids)
        places, rows = np.array(self.lengths[:count]), np.arange(count)
        longest = max(self.lengths[:count]) + 1
        # Shorter texts do not look at what an earlier text left behind them.
        beyond = np.arange(longest) > places[:, None]
        hidden = np.where(beyond, np.float32(-np.inf), np.float32(0))[:, None, None]
        x = self.embedding[list(ids)]  # (B, D)
        turns = self.turns[places, None]
        for layer, (keys, values) in zip(self.layers, self.cache, strict=True):
            q, k, v = self._project(layer, x, turns)
            keys[rows, :, places], values[rows, :, places] = k, v
            # The heads of a group look together at what they share.
            q = q.reshape(count, self.kv_heads, self._group, self.head_size)
            mixed = _attend(q, keys[:count, :, :longest], values[:count, :, :longest], hidden)
            x = self._finish(layer, x, mixed.reshape(count, -1))
        for row in range(count):
            self.lengths[row] += 1
        return self._predict(x)

    def move(self, source: int, target: int) -> None:
        """Move the text of one row to another."""
        length = self.lengths[target] = self.lengths[source]
        self.cache[:, :, target, :, :length] = self.cache[:, :, source, :, :length]

    @property
    def _group(self) -> int:
        """Heads that share their keys and values."""
        return int(self.heads // self.kv_heads)

    def _project(
        self, layer: _Layer, x: np.ndarray, turns: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return queries (N, heads, d), keys and values (N, kv heads, d); the first two turned."""
        qkv = np.ascontiguousarray(_multiply(layer.qkv, self._norm(x)))
        qkv = qkv.reshape(len(x), -1, self.head_size)
        turned = self.heads + self.kv_heads
        qk = (qkv[:, :turned].view(np.complex64) * turns).view(np.float32)
        return qk[:, : self.heads], qk[:, self.heads :], qkv[:, turned:]

    def _finish(self, layer: _Layer, x: np.ndarray, mixed: np.ndarray) -> np.ndarray:
        x = x + _multiply(layer.out, mixed)
        gate, up = np.split(_multiply(layer.gate_up, self._norm(x)), 2, axis=1)
        return x + _multiply(layer.down, _silu(gate) * up)

    def _predict(self, x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(_multiply(self.head, self._norm(x))))

    def _norm(self, x: np.ndarray) -> np.ndarray:
        """Bring (N, D) to a mean square of 1."""
        squares = np.einsum("nd,nd->n", x, x)
        return x / np.sqrt(squares / np.float32(x.shape[1]) + self.eps)[:, None]

    def _take_over(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        turned = [self._pair(_array(one.weight)) for one in (attention.q_proj, attention.k_proj)]
        qkv = np.concatenate([*turned, _array(attention.v_proj.weight)])
        gate_up = np.concatenate([_array(mlp.gate_proj.weight), _array(mlp.up_proj.weight)])
        return _Layer(
            qkv=qkv * _array(layer.input_layernorm.weight),
            out=_array(attention.o_proj.weight),
            gate_up=gate_up * _array(layer.post_attention_layernorm.weight),
            down=_array(mlp.down_proj.weight),
        )

    def _pair(self, weight: np.ndarray) -> np.ndarray:
        """Lay the two numbers that turn together side by side; Llama has them half a head apart."""
        halves = weight.reshape(-1, 2, self.head_size // 2, weight.shape[1])
        return halves.swapaxes(1, 2).reshape(weight.shape)


def _array(weight: torch.Tensor) -> np.ndarray:
    """Look at a weight's memory; nothing is copied."""
    return weight.detach().numpy()


def _multiply(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply the rows of ``x``, (N, in), by (out, in). BLAS is faster with few columns."""
    return (matrix @ x.T).T


def _attend(q: np.ndarray, keys: np.ndarray, values: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """Mix ``values`` (..., T, d) as ``q`` (..., N, d) attends to ``keys``; -inf hides places."""
    scores = q @ keys.swapaxes(-1, -2)
    scores *= np.float32(q.shape[-1] ** -0.5)
    scores += hidden
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(-1, keepdims=True)
    mixed: np.ndarray = scores @ values
    return mixed


def _silu(x: np.ndarray) -> np.ndarray:
    """Return x times its logistic function, which as a hyperbolic tangent never overflows."""
    half = x * np.float32(0.5)
    return half + half * np.tanh(half)
