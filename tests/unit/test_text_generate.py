"""Text generation on a tiny Llama of the genuine class, with transformers as the reference."""

from __future__ import annotations

from collections.abc import Iterator
from threading import Event
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from demos.text.generate import (
    ChatRequest,
    TextRequest,
    TextStep,
    Turn,
    Unfolder,
    encode_prompt,
    generate_text,
)
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.sampling import SampledToken


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
    return LanguageModel.of(LlamaForCausalLM(config).eval(), fast)


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
    assert last.text == text.rstrip("\ufffd")  # half a letter waits for its other half


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


@pytest.mark.parametrize("begun", [(10**6,), (-1,), (2**70,)])
def test_a_text_cannot_begin_with_a_token_that_is_none(
    language_model: LanguageModel, begun: tuple[int, ...]
) -> None:
    request = TextRequest.parse(prompt="Hello", begun=begun, seed=1)
    with pytest.raises(InvalidRequest, match="cannot begin with token"):
        next(generate_text(language_model, request, Event()))


def test_a_text_that_fills_the_context_says_so_and_not_that_its_beginning_is_long(
    language_model: LanguageModel,
) -> None:
    begun = (5,) * (language_model.context - 4)
    request = TextRequest.parse(prompt="Hello", begun=begun, seed=1)
    with pytest.raises(InvalidRequest, match="The text fills all"):
        next(generate_text(language_model, request, Event()))


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


TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant]"


@pytest.fixture
def chat_model(language_model: LanguageModel) -> Iterator[LanguageModel]:
    language_model.tokenizer.chat_template = TEMPLATE
    yield language_model
    language_model.tokenizer.chat_template = None


def read(language_model: LanguageModel, request: TextRequest) -> tuple[str, int]:
    ids, clipped = encode_prompt(language_model, request)
    return str(language_model.tokenizer.decode(ids)), clipped


def test_only_the_end_of_a_long_prompt_is_read_if_that_is_wished(
    language_model: LanguageModel,
) -> None:
    request = TextRequest.parse(prompt="0123456789" * 10, keep_end=True, seed=1, max_new_tokens=20)
    text, clipped = read(language_model, request)
    assert text == request.prompt[clipped:] == request.prompt[-44:]  # 20 are to be written
    steps = list(generate_text(language_model, request, Event()))
    assert (len(steps), steps[0].clipped) == (20, 56)
    greedy = request.model_copy(update={"max_new_tokens": 400})
    assert read(language_model, greedy)[0] == request.prompt[-31:]  # half is for reading


def test_a_text_that_fills_the_context_says_so(language_model: LanguageModel) -> None:
    request = TextRequest.parse(prompt="Hello", begun=(5,) * 63, keep_end=True)
    with pytest.raises(InvalidRequest, match="fills all 64 tokens"):
        encode_prompt(language_model, request)


def test_a_text_goes_on_where_it_was_begun(language_model: LanguageModel) -> None:
    def run(**values: Any) -> TextStep:
        request = TextRequest.parse(prompt="Hello", temperature=0, seed=1, **values)
        *_, last = generate_text(language_model, request, Event())
        return last

    whole = run(max_new_tokens=12)
    begun = tuple(token.id for token in whole.tokens[:5])
    rest = run(max_new_tokens=7, begun=begun)
    assert [token.id for token in rest.tokens] == [token.id for token in whole.tokens[5:]]


def test_a_letter_of_several_tokens_appears_when_it_is_whole(
    language_model: LanguageModel,
) -> None:
    unfold = Unfolder(language_model.tokenizer)
    ids = language_model.tokenizer("naïve ☂").input_ids
    texts = [unfold(SampledToken(id_, 1.0)).text for id_ in ids]
    assert texts == ["n", "a", "", "ï", "v", "e", " ", "", "", "☂"]


def test_a_conversation_is_written_as_the_model_learnt_to_read_it(
    chat_model: LanguageModel,
) -> None:
    turns = (Turn(role="system", content="Hi"), Turn(role="user", content="Ho"))
    request = ChatRequest.parse(prompt="", turns=turns, seed=1)
    assert read(chat_model, request) == ("[system] Hi\n[user] Ho\n[assistant]", 0)
    message = TextRequest.parse(prompt="Ho", as_message=True)
    assert read(chat_model, message) == ("[user] Ho\n[assistant]", 0)
    plain = TextRequest.parse(prompt="Ho")
    assert read(chat_model, plain) == ("Ho", 0)


def test_a_long_conversation_forgets_its_beginning_but_not_its_rules(
    chat_model: LanguageModel,
) -> None:
    said = [Turn(role=role, content=f"{n}" * 4) for n in range(3) for role in ("user", "assistant")]
    rules = Turn(role="system", content="Be kind")
    request = ChatRequest.parse(prompt="", turns=(rules, *said[:5]), seed=1)
    text, clipped = read(chat_model, request)
    assert text == "[system] Be kind\n[user] 2222\n[assistant]"
    assert clipped == 16


@pytest.mark.parametrize(("content", "message"), [(" ", "empty"), ("x" * 80, "too long")])
def test_a_message_that_cannot_be_answered_is_explained(
    chat_model: LanguageModel, content: str, message: str
) -> None:
    turns = (Turn(role="user", content=content),)
    with pytest.raises(InvalidRequest, match=message):
        encode_prompt(chat_model, ChatRequest.parse(prompt="", turns=turns))


def test_a_model_that_never_learnt_to_answer_says_so(language_model: LanguageModel) -> None:
    turns = (Turn(role="user", content="Hello"),)
    with pytest.raises(InvalidRequest, match="never trained to answer"):
        encode_prompt(language_model, ChatRequest.parse(prompt="", turns=turns))
