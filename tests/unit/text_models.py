"""Language models to test with: the bundled one, and tiny ones of genuine classes."""

from __future__ import annotations

from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from shared.catalog import LanguageModel, Placement, load_language_model
from shared.settings import ROOT

BUNDLED = ROOT / "models" / "text-storyteller"
KINDS = ("llama", "gpt2", "qwen3")


def load_bundled() -> LanguageModel:
    """Load the model that comes with the gallery."""
    return load_language_model(BUNDLED, Placement(torch.device("cpu"), torch.float32))


def build_tiny(kind: str, context: int = 64) -> LanguageModel:
    """Build a model of random weights of one of ``KINDS``, with the bundled one's tokenizer."""
    tokenizer = AutoTokenizer.from_pretrained(BUNDLED)
    torch.manual_seed(0)
    common: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "max_position_embeddings": context,
        "initializer_range": 0.3,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
    model: Any
    if kind == "gpt2":
        common["n_positions"] = common.pop("max_position_embeddings")
        model = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=3, n_head=4, **common))
    elif kind == "qwen3":
        model = Qwen3ForCausalLM(Qwen3Config(**sizes, **common))
    else:
        model = LlamaForCausalLM(LlamaConfig(**sizes, **common))
    return LanguageModel.of(model.eval(), tokenizer)
