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
# Tokens that another text must begin with alike to be read on from there: what was computed token
# by token differs in the sixth digit, and short prompts are to give the same to the last bit.
LEAST_ALIKE = 64
FEW = 4  # up to so many rows are multiplied one after the other


@dataclass(frozen=True, eq=False)
class _Layer:
    """The matrices of one layer, (out, in), with every constant factor multiplied into them.

    Those are the scales of norms, the square root of their size, what attention divides by, and the
    half that makes a logistic function of a hyperbolic tangent: what is multiplied once need not be
    at every step.
    """

    qkv: np.ndarray
    out: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


def can_run(model: PreTrainedModel) -> bool:
    """Whether ``NumpyLlama`` knows how ``model`` is built, and is faster."""
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


class NumpyLlama:
    """Computes the logits of next tokens for several texts, each at its own length.

    Texts live in rows 0, 1, ... without a gap; ``move`` fills one. What a row held is kept until
    another text needs its place: one that begins alike is read from where they part. It is not safe
    to use from several threads at once.
    """

    def __init__(self, model: PreTrainedModel, rows: int = 16) -> None:
        """Take over the weights of ``model``, for which ``can_run`` holds.

        Args:
            model: A small Llama.
            rows: Texts at a time. Their keys and values are allocated here, once, so that the
                memory does not grow later; the system gives it when a row is first used.
        """
        # Small matrices: on busy cores, numpy's threads wait for each other longer than they work.
        # This holds for numpy in the whole process; torch has threads of its own. A limit around
        # each step is no way out: once one thread has set it, OpenBLAS ignores other threads.
        threadpool_limits(1, "blas")
        config: Any = model.config
        self.context = int(config.max_position_embeddings)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size = config.head_dim
        self.eps = np.float32(config.rms_norm_eps * config.hidden_size)
        network: Any = model.model
        self.embedding = _array(network.embed_tokens.weight)
        self.head = _array(cast(Any, model.get_output_embeddings()).weight) * _scale(network.norm)
        self.layers = [self._take_over(layer) for layer in network.layers]
        angles = np.outer(np.arange(self.context), _array(network.rotary_emb.inv_freq))
        self.turns = np.exp(1j * angles).astype(np.complex64)[:, None]  # (T, 1, head size / 2)
        # Keys and values: (layers, 2, rows, kv heads, T, head size).
        shape = (len(self.layers), 2, rows, self.kv_heads, self.context, self.head_size)
        self.cache = np.zeros(shape, np.float32)
        self.texts: list[list[int]] = [[] for _ in range(rows)]  # row by row

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory, beside what it shares with the model."""
        layers = sum(layer.qkv.nbytes + layer.gate_up.nbytes for layer in self.layers)
        return self.cache.nbytes + self.head.nbytes + layers

    def read(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        """Begin a text in ``row`` and return the logits after ``ids``, (V,).

        ``ids`` are at least one and at most as many as the context holds.
        """
        alike = [_count_alike(text, ids[:-1]) for text in self.texts]
        source = int(np.argmax(alike))
        known = alike[source] if alike[source] >= LEAST_ALIKE else 0
        self._copy(source, row, known)
        return self._predict(self._run(row, [ids[known:]])[:, -1:])[0, 0]

    def step(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Add tokens to each of the first rows and return the logits after each, (B, N, V).

        Rows that get fewer are filled up with their last, up to the N of the longest; ``cut`` takes
        away what is not to stay. Each row has room for N.
        """
        size = max(map(len, ids))
        filled = [[*one, *[one[-1]] * (size - len(one))] for one in ids]
        return self._predict(self._run(0, filled))

    def cut(self, row: int, count: int) -> None:
        """Keep the first ``count`` tokens of a text."""
        del self.texts[row][count:]

    def move(self, source: int, target: int) -> None:
        """Move the text of one row to another."""
        self._copy(source, target, len(self.texts[source]))

    def _copy(self, source: int, target: int, count: int) -> None:
        """Let the row ``target`` hold the first ``count`` tokens of ``source``."""
        if source != target:
            self.cache[:, :, target, :, :count] = self.cache[:, :, source, :, :count]
        self.texts[target] = self.texts[source][:count]

    def _run(self, first: int, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Add as many tokens to each row from ``first`` on; what comes of them, (B, N, D)."""
        texts = self.texts[first : first + len(ids)]
        count, size = len(ids), len(ids[0])
        starts = [len(text) for text in texts]
        places = np.add.outer(starts, np.arange(size))  # (B, N)
        longest = max(starts) + size
        hidden = None
        if size > 1 or min(starts) < max(starts):
            # No token looks ahead, nor at what an earlier text left in its row.
            beyond = np.arange(longest) > places.repeat(self._group, 1)[..., None]
            hidden = np.where(beyond, np.float32(-np.inf), np.float32(0))[:, None]
        turns = self.turns[places.ravel()]
        x = self.embedding[np.ravel(ids)]  # (B * N, D)
        cache = self.cache[:, :, first : first + count]
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            q, k, v = self._project(layer, x, turns)
            for row, start in enumerate(starts):
                new = slice(row * size, row * size + size)
                keys[row, :, start : start + size] = k[new].swapaxes(0, 1)
                values[row, :, start : start + size] = v[new].swapaxes(0, 1)
            # The heads of a group look together at what they share.
            q = q.reshape(count, size, self.kv_heads, -1, self.head_size).swapaxes(1, 2)
            q = q.reshape(count, self.kv_heads, -1, self.head_size)
            mixed = _attend(q, keys[:, :, :longest], values[:, :, :longest], hidden)
            mixed = mixed.reshape(count, self.kv_heads, size, -1).swapaxes(1, 2)
            x += _multiply(layer.out, mixed.reshape(count * size, -1))
            x += _multiply(layer.down, _gate(_multiply(layer.gate_up, self._norm(x))))
        for text, more in zip(texts, ids, strict=True):
            text += more
        return x.reshape(count, size, -1)

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

    def _predict(self, x: np.ndarray) -> torch.Tensor:
        """Return the logits, (B, N, V), of what ``_run`` returns."""
        flat = x.reshape(-1, x.shape[-1])
        logits = np.ascontiguousarray(_multiply(self.head, self._norm(flat)))
        return torch.from_numpy(logits.reshape(*x.shape[:2], -1))

    def _norm(self, x: np.ndarray) -> np.ndarray:
        """Bring the squares of (N, D) to a sum of 1, which is a mean of 1 but for a factor."""
        return x / np.sqrt(np.einsum("nd,nd->n", x, x) + self.eps)[:, None]

    def _take_over(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        q, k = (self._pair(_array(one.weight)) for one in (attention.q_proj, attention.k_proj))
        qkv = np.concatenate([q * self.head_size**-0.5, k, _array(attention.v_proj.weight)])
        gate_up = np.concatenate([_array(mlp.gate_proj.weight) / 2, _array(mlp.up_proj.weight)])
        return _Layer(
            qkv=qkv * _scale(layer.input_layernorm),
            out=_array(attention.o_proj.weight),
            gate_up=gate_up * _scale(layer.post_attention_layernorm),
            down=_array(mlp.down_proj.weight),
        )

    def _pair(self, weight: np.ndarray) -> np.ndarray:
        """Lay the two numbers that turn together side by side; Llama has them half a head apart."""
        halves = weight.reshape(-1, 2, self.head_size // 2, weight.shape[1])
        return halves.swapaxes(1, 2).reshape(weight.shape)


def _array(weight: torch.Tensor) -> np.ndarray:
    """Look at a weight's memory; nothing is copied."""
    return weight.detach().numpy()


def _scale(norm: Any) -> np.ndarray:
    """Return what a norm multiplies with, for vectors whose squares add up to 1."""
    weight = _array(norm.weight)
    return weight * np.float32(len(weight) ** 0.5)


def _count_alike(text: Sequence[int], other: Sequence[int]) -> int:
    """Return how many tokens two texts begin with alike."""
    pairs = enumerate(zip(text, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(text), len(other)))


def _multiply(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply the rows of ``x``, (N, in), by (out, in)."""
    if len(x) <= FEW:  # BLAS lays out anew what it multiplies two matrices of, which takes longer
        return (matrix @ x[:, :, None])[:, :, 0]
    return (matrix @ x.T).T


def _attend(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, hidden: np.ndarray | None
) -> np.ndarray:
    """Mix ``values`` (..., T, d) as ``q`` (..., N, d) attends to ``keys``; -inf hides places."""
    scores = q @ keys.swapaxes(-1, -2)
    if hidden is not None:
        scores += hidden
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    mixed: np.ndarray = scores @ values
    mixed /= scores.sum(-1, keepdims=True)
    return mixed


def _gate(gate_up: np.ndarray) -> np.ndarray:
    """Multiply the second half of each row by the gate and the gate's logistic function.

    That function is taken as a hyperbolic tangent of half the gate, which is what the first half
    of a row is: it never overflows.
    """
    middle = gate_up.shape[1] // 2
    half_gate, up = gate_up[:, :middle], gate_up[:, middle:]
    gated: np.ndarray = np.tanh(half_gate)
    gated += 1
    gated *= half_gate
    gated *= up
    return gated
