"""How a text splits into tokens: nothing is lost, and everything can be seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from demos.text.tokens import (
    begin_document,
    decode_tokens,
    label_bytes,
    label_tokens,
    open_model,
    read_text,
)
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from tests.unit.text_models import build_tiny

TEXTS = [
    "Once upon a time",
    "  two spaces, a tab\tand a line\n\n",
    "Grüße 🦊, e\u0301 and \x00 and \u202e",
    "مرحبا بالعالم",
    "<b>&amp;</b> <|endoftext|> end",
    "\ufeffdef f(x):\n        return x  # 漢字",
]


@pytest.fixture(scope="module")
def language_model() -> LanguageModel:
    return build_tiny("llama")


@pytest.fixture(scope="module")
def tokenizer(language_model: LanguageModel) -> PreTrainedTokenizerBase:
    return language_model.tokenizer


@pytest.mark.parametrize("text", TEXTS)
def test_the_pieces_join_to_the_text_and_carry_the_ids_of_the_tokenizer(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> None:
    pieces = read_text(tokenizer, text)
    assert "".join(piece.text for piece in pieces) == text
    assert [piece.id for piece in pieces] == tokenizer(text).input_ids
    assert decode_tokens(tokenizer, [piece.id for piece in pieces]) == text


@pytest.mark.parametrize("text", TEXTS)
def test_no_label_hides_anything(tokenizer: PreTrainedTokenizerBase, text: str) -> None:
    for piece in read_text(tokenizer, text):
        assert piece.label.strip()
        assert piece.label.isprintable()
        assert " " not in piece.label.split("‹")[0]


def test_a_character_of_several_tokens_belongs_to_the_first(
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    pieces = read_text(tokenizer, "🦊")
    assert [piece.text for piece in pieces] == ["🦊", *[""] * (len(pieces) - 1)]
    shown = "".join(piece.label for piece in pieces)
    assert shown.replace("›‹", " ") == "‹F0 9F A6 8A›"


@pytest.mark.parametrize(
    ("raw", "label"),
    [
        (b" the", "␣the"),
        (b"\r\n\t", "␍↵⇥"),
        ("é".encode(), "é"),
        ("\u0301".encode(), "◌\u0301"),
        (b"a\xe2\x80", "a‹E2 80›"),
        (b"\x07", "‹U+0007›"),
        ("\u202e".encode(), "‹U+202E›"),
    ],
)
def test_labels(raw: bytes, label: str) -> None:
    assert label_bytes(raw) == label


def test_a_number_that_no_token_has_is_named_too(tokenizer: PreTrainedTokenizerBase) -> None:
    assert label_tokens(tokenizer, [len(tokenizer) + 5]) == ["‹unused›"]


def test_vocabularies_with_marked_spaces_and_single_bytes_are_spelt() -> None:
    words = {"<unk>": 0, "▁the": 1, "<0xC3>": 2, "<0xBC>": 3, "▁": 4}
    own = Tokenizer(models.BPE(words, [], unk_token="<unk>", byte_fallback=True))
    steps: list[Any] = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    own.decoder = decoders.Sequence(steps)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=own)
    assert label_tokens(tokenizer, [1, 2, 3]) == ["␣the", "‹C3›", "‹BC›"]
    assert decode_tokens(tokenizer, [1, 4, 2, 3]) == " the ü"


def test_a_document_begins_after_the_mark(language_model: LanguageModel) -> None:
    (mark,) = begin_document(language_model)
    assert language_model.tokenizer.convert_ids_to_tokens(mark) == "<|endoftext|>"


def test_a_model_that_shows_nothing_of_its_inside_is_told_apart(
    language_model: LanguageModel,
) -> None:
    assert open_model(language_model) is language_model.model
    with pytest.raises(InvalidRequest, match=r"runs in llama\.cpp"):
        open_model(replace(language_model, model=None))
