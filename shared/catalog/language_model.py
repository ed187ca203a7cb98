"""A language model with its tokenizer and the engine that writes with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from shared.sampling import Engine


@dataclass(frozen=True)
class LanguageModel:
    """A causal language model with its tokenizer.

    Attributes:
        tokenizer: Of transformers, a fast one.
        engine: What writes with the model.
        context: Tokens that it can look back on, its own included.
        ends: Tokens that end a text.
        model: Of transformers, for looking inside; None where another engine writes.
        chat_options: What its chat template wants to be told.
    """

    tokenizer: PreTrainedTokenizerBase
    engine: Engine
    context: int
    ends: frozenset[int]
    model: Any = None
    chat_options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        chat_options: Mapping[str, Any] | None = None,
    ) -> LanguageModel:
        """Describe a model of transformers, which is written with in the fastest way."""
        from shared.batching import choose_engine

        config: Any = model.generation_config
        ends = tokenizer.eos_token_id if config.eos_token_id is None else config.eos_token_id
        return cls(
            tokenizer=tokenizer,
            engine=choose_engine(model),
            context=int(model.config.max_position_embeddings),
            ends=frozenset(ends if isinstance(ends, list) else [ends]),
            model=model,
            chat_options=chat_options or {},
        )
