"""A small Llama's arithmetic in fewer and larger operations, for many texts at once.

A model of a few million weights spends its time between the operations, not in them: here each
layer is a dozen of them instead of fifty, on memory that is set up once. The mathematics is that of
``LlamaForCausalLM`` (Touvron et al. 2023, arXiv:2302.13971); the results agree to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, cast

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

# Larger models gain little: their time goes into the arithmetic. And they would be in memory twice.
MOST_PARAMETERS = 50_000_000


class _Linear:
    """Multiplies by a matrix, (out, in).

    Weights that were saved in half precision are kept in it: a step reads all of them once, and
    that is what takes the time. Sums are in single precision all the same, and nothing is rounded.
    """

    def __init__(self, weight: torch.Tensor) -> None:
        weight = weight.detach()
        halves = torch.equal(weight.half().float(), weight)
        self.weight: torch.Tensor | None = weight
        self.nbytes = weight.nbytes
        if halves and "fbgemm" in torch.backends.quantized.supported_engines:
            self.packed = torch.ops.quantized.linear_prepack_fp16(weight, None)
            self.weight, self.nbytes = None, weight.nbytes // 2

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight is not None:
            return F.linear(x, self.weight)
        answer: torch.Tensor = torch.ops.quantized.linear_dynamic_fp16(x, self.packed)
        return answer


@dataclass(frozen=True)
class _Layer:
    """The weights of one layer."""

    before: torch.Tensor  # the scales of its two norms
    between: torch.Tensor
    qkv: _Linear
    out: _Linear
    gate_up: _Linear
    down: _Linear


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
        config: Any = model.config
        self.context = int(config.max_position_embeddings)
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_size = config.head_dim
        self.width, self.eps = config.hidden_size, config.rms_norm_eps
        network: Any = model.model
        with torch.inference_mode():
            self.embedding = network.embed_tokens.weight.detach()
            self.head = _Linear(cast(Any, model.get_output_embeddings()).weight)
            self.last = network.norm.weight.detach()
            self.layers = [self._take_over(layer) for layer in network.layers]
            frequencies = network.rotary_emb.inv_freq.float()
            angles = torch.arange(self.context)[:, None] * frequencies
            self.turns = torch.polar(torch.ones_like(angles), angles)  # (T, head size / 2)
            # Keys and values: (layers, 2, rows, kv heads, T, head size).
            self.cache = torch.zeros(
                len(self.layers), 2, 1, self.kv_heads, self.context, self.head_size
            )
        self.lengths = [0]

    @property
    def nbytes(self) -> int:
        """Bytes that it keeps in memory, beside what it shares with the model."""
        layers = [(layer.qkv, layer.out, layer.gate_up, layer.down) for layer in self.layers]
        return self.cache.nbytes + sum(one.nbytes for one in (self.head, *chain(*layers)))

    @torch.inference_mode()
    def read(self, row: int, ids: Sequence[int]) -> torch.Tensor:
        """Begin a text in ``row`` and return the logits after ``ids``, (V,).

        ``ids`` are at least one and at most as many as the context holds.
        """
        if row == len(self.lengths):
            self.cache = torch.cat([self.cache, torch.zeros_like(self.cache)], dim=2)
            self.lengths += [0] * len(self.lengths)
        count = len(ids)
        x = self.embedding[torch.tensor(ids)]  # (T, D)
        turns = self.turns[:count, None]
        for layer, cache in zip(self.layers, self.cache[:, :, row], strict=True):
            q, kv = self._project(layer, x, turns)
            cache[:, :, :count] = kv.permute(1, 2, 0, 3)
            keys, values = cache[:, None, :, :count]
            mixed = F.scaled_dot_product_attention(
                q.transpose(0, 1)[None], keys, values, is_causal=True, enable_gqa=self._group > 1
            )
            x = self._finish(layer, x, mixed[0].transpose(0, 1).reshape(count, -1))
        self.lengths[row] = count
        return self._predict(x[-1:])[0]

    @torch.inference_mode()
    def step(self, ids: Sequence[int]) -> torch.Tensor:
        """Add one token to each of the first rows and return the logits after it, (B, V).

        None of these rows may be full.
        """
        count = len(ids)
        places = torch.tensor(self.lengths[:count])
        rows, longest = torch.arange(count), max(self.lengths[:count]) + 1
        # Shorter texts do not look at what an earlier text left behind them.
        beyond = torch.arange(longest) > places[:, None]
        bias = torch.zeros(beyond.shape).masked_fill_(beyond, -torch.inf)
        bias = bias[:, None].expand(-1, self.kv_heads, -1).reshape(-1, 1, longest)
        x = self.embedding[torch.tensor(ids)]  # (B, D)
        turns = self.turns[places, None]
        for layer, cache in zip(self.layers, self.cache, strict=True):
            q, kv = self._project(layer, x, turns)
            cache[:, rows, :, places] = kv
            # Attention of (texts and kv heads, heads of a group); torch's own is slower here.
            q = q.reshape(-1, self._group, self.head_size)
            keys, values = cache[:, :count, :, :longest].flatten(1, 2)
            scores = torch.baddbmm(bias, q, keys.mT, alpha=self.head_size**-0.5)
            mixed = scores.softmax(-1) @ values
            x = self._finish(layer, x, mixed.reshape(count, -1))
        for row in range(count):
            self.lengths[row] += 1
        return self._predict(x)

    @torch.inference_mode()
    def move(self, source: int, target: int) -> None:
        """Move the text of one row to another."""
        length = self.lengths[target] = self.lengths[source]
        self.cache[:, :, target, :, :length] = self.cache[:, :, source, :, :length]

    @property
    def _group(self) -> int:
        """Heads that share their keys and values."""
        return int(self.heads // self.kv_heads)

    def _project(
        self, layer: _Layer, x: torch.Tensor, turns: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return queries (N, heads, d), and keys and values (N, 2, kv heads, d), turned."""
        qkv = layer.qkv(self._norm(x, layer.before))
        turned = (self.heads + self.kv_heads) * self.head_size
        pairs = torch.view_as_complex(qkv[:, :turned].view(len(x), -1, self.head_size // 2, 2))
        qk = torch.view_as_real(pairs * turns).flatten(2)  # (N, heads + kv heads, d)
        v = qkv[:, turned:].view(len(x), 1, self.kv_heads, self.head_size)
        return qk[:, : self.heads], torch.cat([qk[:, None, self.heads :], v], dim=1)

    def _finish(self, layer: _Layer, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + layer.out(mixed)
        gate, up = layer.gate_up(self._norm(x, layer.between)).chunk(2, dim=-1)
        return x + layer.down(F.silu(gate) * up)

    def _predict(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self._norm(x, self.last))

    def _norm(self, x: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (self.width,), scale, self.eps)

    def _take_over(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        turned = [self._pair(attention.q_proj.weight), self._pair(attention.k_proj.weight)]
        qkv = torch.cat([*turned, attention.v_proj.weight])
        gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        return _Layer(
            before=layer.input_layernorm.weight.detach(),
            between=layer.post_attention_layernorm.weight.detach(),
            qkv=_Linear(qkv),
            out=_Linear(attention.o_proj.weight),
            gate_up=_Linear(gate_up),
            down=_Linear(mlp.down_proj.weight),
        )

    def _pair(self, weight: torch.Tensor) -> torch.Tensor:
        """Lay the two numbers that turn together side by side; Llama has them half a head apart."""
        halves = weight.view(-1, 2, self.head_size // 2, weight.shape[1])
        return halves.transpose(1, 2).reshape(weight.shape)
