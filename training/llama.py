"""Builds and trains small Llamas (Touvron et al. 2023, arXiv:2302.13971) in little time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from training.common import Budget, one_cycle, set_learning_rate

LARGEST_FILE = "9MB"


def build_llama(
    vocabulary: int,
    context: int,
    *,
    width: int,
    layers: int,
    special: Mapping[str, Any],
    sampling: Mapping[str, Any],
) -> LlamaForCausalLM:
    """Build an untrained model: heads of 64, SwiGLU of 8/3 the width, tied embeddings.

    The residual branches start with small weights, as in GPT-2.

    Args:
        vocabulary: Number of tokens.
        context: Most tokens of a sequence.
        width: Hidden size, a multiple of 64.
        layers: Number of layers.
        special: ``bos_token_id``, ``eos_token_id`` and ``pad_token_id``.
        sampling: Defaults of ``generate``.
    """
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=64 * round(width * 8 / 3 / 64),
        num_hidden_layers=layers,
        num_attention_heads=width // 64,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        **special,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=True, **sampling, **special)
    for layer in model.model.layers:
        for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.normal_(projection.weight, std=0.02 / math.sqrt(2 * layers))
    return model


def train_llama(
    label: str,
    model: LlamaForCausalLM,
    compute_loss: Callable[[LlamaForCausalLM, torch.Tensor], torch.Tensor],
    optimizers: list[torch.optim.Optimizer],
    batches: Iterator[torch.Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    bfloat16: bool = False,
    max_steps: int | None = None,
) -> Iterator[float]:
    """Yield the loss of each step, in nats per token, until the budget is spent.

    With ``bfloat16`` matrix products run in that type; weights and optimizer stay float32.
    """
    model.train()
    for _ in budget.steps(label, max_steps):
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
            loss = compute_loss(model, next(batches).to(model.device))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            set_learning_rate(optimizer, learning_rate * one_cycle(budget.progress))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        yield loss.item()


def build_optimizers(model: LlamaForCausalLM) -> list[torch.optim.Optimizer]:
    """Muon (Jordan et al. 2024) for the matrices inside layers, AdamW for all other weights.

    Muon's steps are scaled to those of AdamW (Liu et al. 2025, arXiv:2502.16982), so that both
    use the same learning rate. In equal minutes it reaches a far lower loss than AdamW alone.
    """
    inside = [p for p in model.model.layers.parameters() if p.dim() == 2]
    others = [p for p in model.parameters() if not any(p is one for one in inside)]
    return [
        torch.optim.Muon(inside, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


@contextmanager
def apply_dropout(model: LlamaForCausalLM, share: float) -> Iterator[None]:
    """Apply dropout to embeddings and residual branches (Srivastava et al. 2014).

    Llama's configuration has dropout for attention only.
    """

    def drop(module: torch.nn.Module, _: object, output: Any) -> Any:
        if isinstance(output, tuple):
            return (F.dropout(output[0], share, module.training), *output[1:])
        return F.dropout(output, share, module.training)

    branches = [part for layer in model.model.layers for part in (layer.self_attn, layer.mlp)]
    parts = [model.model.embed_tokens, *branches] if share else []
    hooks = [part.register_forward_hook(drop) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def save_weights(model: LlamaForCausalLM, folder: Path) -> None:
    """Write the weights as float16, in small files, with a config that loads them as float32."""
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    del half["lm_head.weight"]  # tied to the embedding
    for old in folder.glob("*.safetensors*"):
        old.unlink()
    model.save_pretrained(folder, state_dict=half, max_shard_size=LARGEST_FILE)
