"""How the storyteller is measured: exact bits, fair baselines, every figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from demos.text.generate import TextRequest
from shared.settings import ROOT
from training import evaluate_text
from training.evaluate_text import (
    BASELINES,
    BEGINNINGS,
    SETTINGS,
    measure_model,
    name_works,
    share_copied,
    write,
)
from training.text_baselines import (
    Texts,
    join,
    join_characters,
    measure_compressors,
    measure_ngrams,
    split,
    sum_bits,
)
from training.text_data import SEPARATOR, TokenData, load_tokens
from training.train_text import build_model, wrap_tokenizer

BUNDLED = ROOT / "models" / "text-storyteller"
CARD, EVALUATION = BUNDLED / "README.md", BUNDLED / "evaluation.json"


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two authors to learn from, and a book and a poet that are held out."""
    monkeypatch.setattr("training.text_data.DATA_CACHE", tmp_path / "cache")
    rng = np.random.default_rng(0)
    words = ["the", "a", "fox", "hen", "owl", "moon", "sang", "and", "then", "far", "away", "Æsop"]

    def page() -> str:
        return " ".join(rng.choice(words, 80))

    known = "\n\n".join(f"Chapter {n}\n\n{page()}\n\n{page()}" for n in range(1, 20))
    apart = [f"{title}\n\nChapter 1\n\n{page()}" for title in ("BLACK BEAUTY", "PETER PAN")]
    slur = "Chapter 2\n\nThe Redskins crept up.\n\n" + page()
    poems = [f"{title}\n\n{page()}\n{page()}" for title in ("To a Hen", "A-Tishoo", "The Owl")]
    folder = tmp_path / "text"
    folder.mkdir()
    works = [known, apart[0], f"{apart[1]}\n\n{slur}"]
    (folder / "books.txt").write_text(f"\n{SEPARATOR}\n".join(works))
    (folder / "poems.txt").write_text(f"\n{SEPARATOR}\n".join(poems))
    return folder


@pytest.fixture
def data(source: Path) -> TokenData:
    return load_tokens(source)


def tiny_model(vocabulary: int, context: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    model = build_model(vocabulary, 0, width=64, layers=1)
    model.config.max_position_embeddings = context
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    return model.eval()


def test_texts_come_back_from_the_streams_exactly(data: TokenData, source: Path) -> None:
    texts = Texts.of(data)
    assert sum(len(text) + 1 for text in texts.held_out) == data.held_out_characters
    assert "\ufffd" not in "".join(texts.train)
    assert len(set(texts.train)) == len(texts.train) == 19 + 1
    assert np.array_equal(join(texts.held_out_tokens, 0), data.held_out)
    assert len(join(texts.train_tokens, 0)) < len(data.train)  # the poem stands there twice
    assert name_works(source, texts.held_out) == [
        "BLACK BEAUTY",
        *["PETER PAN"] * 2,
        *["poems"] * 2,
    ]
    with pytest.raises(ValueError, match="1 held-out documents are not in"):
        name_works(source, [*texts.held_out, "Some other tale."])


@pytest.mark.parametrize("length", [2, 5, 9, 24, 30, 37])
def test_each_token_is_predicted_once_from_the_context_that_is_claimed(length: int) -> None:
    model, context = tiny_model(50, context=8), 8
    tokens = np.random.default_rng(length).integers(0, 50, length).astype(np.uint16)
    sliding, consecutive = measure_model(model, tokens)
    for place in range(1, length):
        begins = {
            "sliding": max(0, (place - 1) // 4 * 4 - 4),
            "consecutive": (place - 1) // context * context,
        }
        for measured, begin in zip((sliding, consecutive), begins.values(), strict=True):
            window = torch.from_numpy(tokens[begin:place].astype(np.int64))
            logits = model(window[None]).logits[0, -1]
            expected = -logits.log_softmax(-1)[int(tokens[place])]
            assert measured[place - 1] == pytest.approx(expected.item(), abs=1e-4)


def test_bits_of_documents_are_the_bits_of_all() -> None:
    stream = np.array([0, 5, 6, 0, 7, 0, 8, 8, 8, 0], np.uint16)
    nats = np.arange(1.0, 10.0) * math.log(2)
    assert sum_bits(nats, stream, 0) == pytest.approx([1 + 2 + 3, 4 + 5, 6 + 7 + 8 + 9])
    assert [part.tolist() for part in split(stream, 0)] == [[5, 6], [7], [8, 8, 8]]


def test_characters_are_counted_as_bytes_with_an_end_after_each_text() -> None:
    assert join_characters(["ab", "é"]).tobytes() == b"\0ab\0\xc3\xa9\0"


def test_ngrams_that_know_nothing_need_the_bits_of_a_uniform_choice() -> None:
    held_out = np.array([0, 1, 2, 3, 0], np.uint16)
    all_alike = np.arange(8).repeat(3)  # eight symbols, equally often
    (bits,) = measure_ngrams(all_alike, held_out, 8, 1, 0)
    assert bits == pytest.approx(4 * 3)


def test_compressors_know_the_training_text_when_they_start() -> None:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, 40_000, np.uint8).tobytes()
    near, far = noise[-9_000:], noise[:5_000]  # of which gzip can look back on the first only
    bits = measure_compressors(noise, near)
    assert bits["gzip_alone"] == pytest.approx(8 * len(near), rel=0.01)
    assert bits["xz_alone"] == pytest.approx(8 * len(near), rel=0.03)
    assert bits["gzip_primed"] < 0.1 * bits["gzip_alone"]
    assert bits["xz_primed"] < 0.1 * bits["xz_alone"]
    bits = measure_compressors(noise, far)
    assert bits["gzip_primed"] > 0.9 * 8 * len(far) > 4 * bits["xz_primed"]


def test_copies_are_sequences_of_eight_that_stand_in_the_stream() -> None:
    rng = np.random.default_rng(0)
    stream = rng.integers(0, 3, 5_000).astype(np.uint16)  # zeros first and last in many
    mine = [rng.integers(0, 3, size) for size in (400, 7, 0)]
    known = {tuple(stream[n : n + 8]) for n in range(len(stream) - 7)}
    seen = [tuple(mine[0][n : n + 8]) in known for n in range(393)]
    assert 0 < np.mean(seen) < 1
    assert share_copied(mine, stream) == pytest.approx(np.mean(seen))
    assert share_copied([stream[100:200]], stream) == 1


def run_main(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr("sys.argv", ["evaluate_text", *map(str, words)])
    evaluate_text.main()


def test_a_model_that_knows_nothing_needs_the_bits_of_a_uniform_choice(
    data: TokenData,
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(SETTINGS, "max_new_tokens", 20)
    tokenizer, out = wrap_tokenizer(data), tmp_path / "evaluation.json"
    model = build_model(len(tokenizer), 0, width=64, layers=1)
    torch.nn.init.zeros_(model.model.embed_tokens.weight)  # tied: all logits are 0
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    words = ["--data", source, "--model", tmp_path / "model", "--json", "--out", out]
    run_main(monkeypatch, *words)

    flat = json.loads(capsys.readouterr().out)
    figures = json.loads(out.read_text("utf-8"))
    uniform = math.log2(len(tokenizer)) * (len(data.held_out) - 1) / data.held_out_characters
    assert flat["bpc_model"] == pytest.approx(uniform, abs=1e-4)
    assert flat["bpc_model_consecutive"] == pytest.approx(uniform, abs=1e-4)
    baselines = [flat[f"bpc_{name}"] for name in ("gzip", "xz", "kn5", "char6")]
    assert all(0 < bits < uniform for bits in baselines)
    assert flat["ratio_to_best"] == pytest.approx(uniform / min(baselines), rel=1e-3)
    assert flat["a_fifth_better"] is False
    assert flat["bpc_xz"] == min(flat["bpc_xz_alone"], flat["bpc_xz_primed"])
    assert all(isinstance(value, str | int | float) for value in flat.values())
    assert flat.items() <= figures.items()

    characters = [work["characters"] for work in figures["works"].values()]
    assert sum(characters) == data.held_out_characters
    assert {"BLACK BEAUTY", "PETER PAN", "poems"} == set(figures["works"])
    assert [sample["seed"] for sample in figures["samples"]] == list(range(1, 11))
    assert figures["settings"] == SETTINGS
    assert figures["command"].startswith("python -m training.evaluate_text --data")


def test_a_model_of_other_texts_is_refused(
    data: TokenData, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = wrap_tokenizer(data)
    build_model(len(tokenizer), 0, width=64, layers=1).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    (source / "book_of_zebras.txt").write_text("Chapter 1\n\n" + "Zebras quarrelled. " * 20)
    with pytest.raises(ValueError, match="model was trained on other texts"):
        run_main(monkeypatch, "--data", source, "--model", tmp_path / "model")


def test_samples_are_written_with_the_settings_of_the_page() -> None:
    fields = TextRequest.model_fields
    assert {name: fields[name].default for name in SETTINGS} == SETTINGS
    assert fields["min_p"].default == 0
    assert fields["repetition_penalty"].default == 1


def test_a_sample_is_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "max_new_tokens", 20)
    tokenizer: Any = AutoTokenizer.from_pretrained(BUNDLED)
    model: Any = AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32).eval()
    poem = BEGINNINGS[8]
    one, again, other = (
        tokenizer.decode(write(model, tokenizer, poem, seed, 1)[0]) for seed in (1, 1, 2)
    )
    assert one == again != other


def test_several_samples_differ_and_end_where_their_text_does() -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(BUNDLED)
    model: Any = AutoModelForCausalLM.from_pretrained(BUNDLED, dtype=torch.float32).eval()
    comma = tokenizer(",").input_ids[0]
    tokenizer.eos_token_id = model.generation_config.eos_token_id = comma  # which comes soon
    model.generation_config.pad_token_id = comma
    rows = write(model, tokenizer, "Once upon a time", 1, 4)
    assert len({tuple(row) for row in rows}) > 1
    assert max(map(len, rows)) < SETTINGS["max_new_tokens"]
    assert not any(comma in row for row in rows)


def test_the_card_states_what_was_measured() -> None:
    figures, card = json.loads(EVALUATION.read_text("utf-8")), CARD.read_text("utf-8")
    rows = [line for line in card.splitlines() if line.startswith("|")]
    for name in ("model", *BASELINES):
        assert any(f" {figures[f'bpc_{name}']:.3f}" in row.replace("**", " ") for row in rows)
    for sample in figures["samples"]:
        assert sample["beginning"] + sample["text"] in card
    assert (
        figures["parameters"] == json.loads((BUNDLED / "training.json").read_text())["parameters"]
    )
