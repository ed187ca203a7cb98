"""Text generation on a tiny Llama of the genuine class, with transformers as the reference."""

from __future__ import annotations

from threading import Event
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demos.text.generate import TextRequest, Token, generate_text
from demos.text.ui import show_text, show_tokens
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|end|>": 0} | {letter: index for index, letter in enumerate(alphabet, 1)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>")
    return LanguageModel(LlamaForCausalLM(config).eval(), fast)


def write(language_model: LanguageModel, **values: Any) -> str:
    request = TextRequest.parse(**{"prompt": "Hello", "max_new_tokens": 12, "seed": 1, **values})
    steps = list(generate_text(language_model, request, Event()))
    return steps[-1].text if steps else ""


def test_temperature_zero_equals_greedy_search_of_transformers(
    language_model: LanguageModel,
) -> None:
    request = TextRequest.parse(prompt="Hello", max_new_tokens=12, temperature=0)
    *_, last = generate_text(language_model, request, Event())
    ids = language_model.tokenizer("Hello", return_tensors="pt").input_ids
    reference: Any = language_model.model
    expected = reference.generate(ids, max_new_tokens=12, do_sample=False)[0, 5:]
    text = str(language_model.tokenizer.decode(expected, skip_special_tokens=True))
    assert last.text == text.rstrip("\ufffd")


def test_same_seed_same_text_and_another_seed_another(language_model: LanguageModel) -> None:
    assert write(language_model) == write(language_model)
    assert write(language_model) != write(language_model, seed=2)


def test_the_seed_of_the_process_does_not_matter(language_model: LanguageModel) -> None:
    first = write(language_model)
    torch.manual_seed(99)
    assert write(language_model) == first


def test_top_k_of_one_is_greedy(language_model: LanguageModel) -> None:
    assert write(language_model, top_k=1) == write(language_model, temperature=0)


def test_two_texts_at_once_do_not_mix(language_model: LanguageModel) -> None:
    requests = [TextRequest.parse(prompt="Hi", max_new_tokens=8, seed=seed) for seed in (1, 2)]
    alone = [list(generate_text(language_model, request, Event()))[-1] for request in requests]
    runs = [generate_text(language_model, request, Event()) for request in requests]
    together = list(zip(*runs, strict=False))[-1]
    assert [step.text for step in together] == [step.text for step in alone]


def test_tokens_join_to_the_text_with_their_probabilities(language_model: LanguageModel) -> None:
    request = TextRequest.parse(prompt="Hello", max_new_tokens=12, seed=1)
    *_, last = generate_text(language_model, request, Event())
    assert "".join(token.text for token in last.tokens) == last.text
    assert all(0 < token.probability <= 1 for token in last.tokens)


def test_stop_ends_within_one_token(language_model: LanguageModel) -> None:
    stop = Event()
    request = TextRequest.parse(prompt="Hello", max_new_tokens=40, seed=1)
    steps = generate_text(language_model, request, stop)
    next(steps)
    stop.set()
    assert list(steps) == []


def test_the_budget_and_the_context_bound_the_length(language_model: LanguageModel) -> None:
    for values, most in (({"max_new_tokens": 3}, 3), ({"prompt": "x" * 60}, 4)):
        request = TextRequest.parse(**{"prompt": "Hello", "max_new_tokens": 50, **values})
        assert len(list(generate_text(language_model, request, Event()))) <= most


@pytest.mark.parametrize(("prompt", "message"), [("  \n", "empty"), ("x" * 64, "too long")])
def test_a_prompt_that_cannot_be_used_is_explained(
    language_model: LanguageModel, prompt: str, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        write(language_model, prompt=prompt)


def test_what_a_visitor_types_is_shown_and_never_run() -> None:
    assert "<script>" not in show_text("<script>alert(1)</script>", "<script>")
    assert "<b>" not in show_tokens((Token("<b>", 0.5),))
