"""The forward pass of a small Llama in numpy, for a batch of texts.

With a few million weights, most of the time is call overhead: a step of ``LlamaForCausalLM`` makes
about three hundred torch calls, each of which costs more than its arithmetic. numpy has several
times less overhead, and a layer here is two dozen operations on memory that is allocated once. The
mathematics is that of ``LlamaForCausalLM`` (Touvron et al. 2023, arXiv:2302.13971); the results
agree to rounding.
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

# Larger models gain little: arithmetic takes most of their time. And most weights are copied.
MAX_PARAMETERS = 50_000_000
# Minimum common prefix, in tokens, before its KV cache is reused. What was computed token by token
# differs in the sixth digit, and short prompts shall give the same result to the last bit.
MIN_SHARED_PREFIX = 64
MAX_MATVEC_ROWS = 4  # up to this many rows are multiplied one by one


@dataclass(frozen=True, eq=False)
class _Layer:
    """The matrices of one layer, (out, in), with all constant factors multiplied into them.

    These are the weights of the norms, the square root of their size, the attention scale, and the
    half in sigmoid(x) = (tanh(x/2) + 1) / 2.
    """

    qkv: np.ndarray
    out: np.ndarray
    gate_up: np.ndarray
    down: np.ndarray


def can_run(model: PreTrainedModel) -> bool:
    """Whether ``NumpyLlama`` supports ``model`` and is faster."""
    config: Any = model.config
    return (
        type(model).__name__ == "LlamaForCausalLM"
        and model.device.type == "cpu"
        and model.dtype == torch.float32
        and model.num_parameters() <= MAX_PARAMETERS
        and config.hidden_act == "silu"
        and not config.attention_bias
        and not config.mlp_bias
        and config.rope_parameters["rope_type"] == "default"
    )


class NumpyLlama:
    """Computes the logits of next tokens for several texts, each at its own length.

    Texts use rows 0, 1, ... without a gap; ``move`` fills one. A row keeps its KV cache until
    another text overwrites it, and a text with a common prefix reuses that. Not thread-safe.
    """

    def __init__(self, model: PreTrainedModel, rows: int = 16) -> None:
        """Use the weights of ``model``, for which ``can_run`` holds.

        Args:
            model: A small Llama.
            rows: Maximum batch size. The KV cache is allocated here, once, so that memory does not
                grow later; the system commits it when a row is first used.
        """
        # Small matrices: on busy cores, numpy's threads wait for each other longer than they work.
        # This affects numpy in the whole process, not torch. A limit around each step does not
        # work: after one thread has set it, OpenBLAS ignores the limits of other threads.
        threadpool_limits(1, "blas")
        config: Any = model.config
        self.context = int(config.max_position_embeddings)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size = config.head_dim
        self.eps = np.float32(config.rms_norm_eps * config.hidden_size)
        network: Any = model.model
        self.embedding = _array(network.embed_tokens.weight)
        self.head = _array(cast(Any, model.get_output_embeddings()).weight) * _scale(network.norm)
        self.layers = [self._fold_layer(layer) for layer in network.layers]
        angles = np.outer(np.arange(self.context), _array(network.rotary_emb.inv_freq))
        self.rope = np.exp(1j * angles).astype(np.complex64)[:, None]  # (T, 1, head size / 2)
        # Keys and values: (layers, 2, rows, kv heads, T, head size).
        shape = (len(self.layers), 2, rows, self.kv_heads, self.context, self.head_size)
        self.cache = np.zeros(shape, np.float32)
        self.texts: list[list[int]] = [[] for _ in range(rows)]  # row by row

    @property
    def nbytes(self) -> int:
        """Bytes in memory, without what it shares with the model."""
        layers = sum(layer.qkv.nbytes + layer.gate_up.nbytes for layer in self.layers)
        return self.cache.nbytes + self.head.nbytes + layers

    def read(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        """Start a text in ``row`` and return the logits after ``ids``, (V,).

        There must be at least one id, and at most as many as the context holds.
        """
        shared = [_shared_prefix_length(text, ids[:-1]) for text in self.texts]
        source = int(np.argmax(shared))
        known = shared[source] if shared[source] >= MIN_SHARED_PREFIX else 0
        self._copy(source, row, known)
        return self._predict(self._run(row, [ids[known:]])[:, -1:])[0, 0]

    def step(self, ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Add tokens to each of the first rows and return the logits after each, (B, N, V).

        Shorter rows are padded to N with their last token; ``cut`` removes what is not wanted. Each
        row must have room for N.
        """
        size = max(map(len, ids))
        padded = [[*one, *[one[-1]] * (size - len(one))] for one in ids]
        return self._predict(self._run(0, padded))

    def cut(self, row: int, count: int) -> None:
        """Keep the first ``count`` tokens of a text."""
        del self.texts[row][count:]

    def move(self, source: int, target: int) -> None:
        """Move the text of one row to another."""
        self._copy(source, target, len(self.texts[source]))

    def _copy(self, source: int, target: int, count: int) -> None:
        """Copy the first ``count`` tokens of row ``source`` to row ``target``."""
        if source != target:
            self.cache[:, :, target, :, :count] = self.cache[:, :, source, :, :count]
        self.texts[target] = self.texts[source][:count]

    def _run(self, first: int, ids: Sequence[Sequence[int]]) -> np.ndarray:
        """Add N tokens to B rows from ``first`` on; return their hidden states, (B, N, D)."""
        texts = self.texts[first : first + len(ids)]
        count, size = len(ids), len(ids[0])
        starts = [len(text) for text in texts]
        positions = np.add.outer(starts, np.arange(size))  # (B, N)
        longest = max(starts) + size
        mask = None
        if size > 1 or min(starts) < max(starts):
            # Causal, and hides what an earlier text left in the row.
            beyond = np.arange(longest) > positions.repeat(self._group, 1)[..., None]
            mask = np.where(beyond, np.float32(-np.inf), np.float32(0))[:, None]
        rope = self.rope[positions.ravel()]
        x = self.embedding[np.ravel(ids)]  # (B * N, D)
        cache = self.cache[:, :, first : first + count]
        for layer, (keys, values) in zip(self.layers, cache, strict=True):
            q, k, v = self._project(layer, x, rope)
            for row, start in enumerate(starts):
                new = slice(row * size, row * size + size)
                keys[row, :, start : start + size] = k[new].swapaxes(0, 1)
                values[row, :, start : start + size] = v[new].swapaxes(0, 1)
            # Grouped-query attention: the heads of a group share keys and values.
            q = q.reshape(count, size, self.kv_heads, -1, self.head_size).swapaxes(1, 2)
            q = q.reshape(count, self.kv_heads, -1, self.head_size)
            mixed = _attend(q, keys[:, :, :longest], values[:, :, :longest], mask)
            mixed = mixed.reshape(count, self.kv_heads, size, -1).swapaxes(1, 2)
            x += _multiply(layer.out, mixed.reshape(count * size, -1))
            x += _multiply(layer.down, _gate(_multiply(layer.gate_up, self._norm(x))))
        for text, more in zip(texts, ids, strict=True):
            text += more
        return x.reshape(count, size, -1)

    @property
    def _group(self) -> int:
        """Query heads per key and value head."""
        return int(self.heads // self.kv_heads)

    def _project(
        self, layer: _Layer, x: np.ndarray, rope: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return queries (N, heads, d), keys and values (N, kv heads, d), with RoPE applied."""
        qkv = np.ascontiguousarray(_multiply(layer.qkv, self._norm(x)))
        qkv = qkv.reshape(len(x), -1, self.head_size)
        rotated = self.heads + self.kv_heads
        qk = (qkv[:, :rotated].view(np.complex64) * rope).view(np.float32)
        return qk[:, : self.heads], qk[:, self.heads :], qkv[:, rotated:]

    def _predict(self, x: np.ndarray) -> torch.Tensor:
        """Return the logits, (B, N, V), of hidden states (B, N, D)."""
        flat = x.reshape(-1, x.shape[-1])
        logits = np.ascontiguousarray(_multiply(self.head, self._norm(flat)))
        return torch.from_numpy(logits.reshape(*x.shape[:2], -1))

    def _norm(self, x: np.ndarray) -> np.ndarray:
        """RMS norm of (N, D) without its weight and without the factor sqrt(D), see ``_Layer``."""
        return x / np.sqrt(np.einsum("nd,nd->n", x, x) + self.eps)[:, None]

    def _fold_layer(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        q, k = (
            self._interleave(_array(one.weight)) for one in (attention.q_proj, attention.k_proj)
        )
        qkv = np.concatenate([q * self.head_size**-0.5, k, _array(attention.v_proj.weight)])
        gate_up = np.concatenate([_array(mlp.gate_proj.weight) / 2, _array(mlp.up_proj.weight)])
        return _Layer(
            qkv=qkv * _scale(layer.input_layernorm),
            out=_array(attention.o_proj.weight),
            gate_up=gate_up * _scale(layer.post_attention_layernorm),
            down=_array(mlp.down_proj.weight),
        )

    def _interleave(self, weight: np.ndarray) -> np.ndarray:
        """Put the two numbers that RoPE rotates together next to each other.

        Llama has them half a head apart; side by side they are one complex number.
        """
        halves = weight.reshape(-1, 2, self.head_size // 2, weight.shape[1])
        return halves.swapaxes(1, 2).reshape(weight.shape)


def _array(weight: torch.Tensor) -> np.ndarray:
    """Return a weight without copying it."""
    return weight.detach().numpy()


def _scale(norm: Any) -> np.ndarray:
    """Return the weight of an RMS norm, for vectors whose squares add up to 1."""
    weight = _array(norm.weight)
    return weight * np.float32(len(weight) ** 0.5)


def _shared_prefix_length(text: Sequence[int], other: Sequence[int]) -> int:
    pairs = enumerate(zip(text, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(text), len(other)))


def _multiply(matrix: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Multiply the rows of ``x``, (N, in), by (out, in)."""
    if len(x) <= MAX_MATVEC_ROWS:  # else BLAS repacks both matrices, which takes longer
        return (matrix @ x[:, :, None])[:, :, 0]
    return (matrix @ x.T).T


def _attend(
    q: np.ndarray, keys: np.ndarray, values: np.ndarray, mask: np.ndarray | None
) -> np.ndarray:
    """Softmax attention of ``q`` (..., N, d) to T keys and values; ``mask`` is 0 or -inf."""
    scores = q @ keys.swapaxes(-1, -2)
    if mask is not None:
        scores += mask
    scores -= scores.max(-1, keepdims=True)
    np.exp(scores, out=scores)
    mixed: np.ndarray = scores @ values
    mixed /= scores.sum(-1, keepdims=True)
    return mixed


def _gate(gate_up: np.ndarray) -> np.ndarray:
    """Return silu(gate) * up, for rows of gate / 2 and then up.

    silu(x) = x * sigmoid(x) = (tanh(x/2) + 1) * x/2, which never overflows.
    """
    middle = gate_up.shape[1] // 2
    half_gate, up = gate_up[:, :middle], gate_up[:, middle:]
    gated: np.ndarray = np.tanh(half_gate)
    gated += 1
    gated *= half_gate
    gated *= up
    return gated
