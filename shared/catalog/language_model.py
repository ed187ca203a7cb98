"""A loaded language model: tokenizer, engine and limits."""

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
        tokenizer: A fast tokenizer of transformers.
        engine: Generates the tokens.
        context: Context length in tokens.
        ends: Token ids that end a text.
        model: The model of transformers, for inspection; None if another library runs it.
        chat_options: Options of its chat template.
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
        """Wrap a model of transformers with its fastest engine."""
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
