"""Captions: what they say, and that the tokenizer knows every word of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from training.captions import (
    ADJECTIVES,
    FEATURES,
    MAX_TOKENS,
    MOODS,
    build_tokenizer,
    phrases,
    write_caption,
)
from training.critter_data import VALUES


def random_words(rng: random.Random) -> dict[str, str]:
    return {name: rng.choice(values) for name, values in VALUES.items()}


def ways_to_say(name: str, value: str) -> list[str]:
    tables = (ADJECTIVES, FEATURES, MOODS)
    ways = [way for table in tables for way in table.get(name, {}).get(value, ())]
    return [part.strip() for way in ways for part in [way.split("{}")[-1]]]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return build_tokenizer()


def test_same_rng_gives_same_caption() -> None:
    words = random_words(random.Random(1))
    captions = {write_caption(words, random.Random(7), drop=0.2) for _ in range(5)}
    others = {write_caption(words, random.Random(seed)) for seed in range(20)}
    assert len(captions) == 1
    assert len(others) > 15


def test_nothing_is_left_out_unless_asked() -> None:
    rng = random.Random(2)
    for _ in range(300):
        words = random_words(rng)
        caption = write_caption(words, rng)
        for name, value in words.items():
            if name != "accent" or words["top"] != "nothing":
                assert any(way in caption for way in ways_to_say(name, value)), (caption, name)


def test_dropping_everything_leaves_a_critter() -> None:
    caption = write_caption(random_words(random.Random(3)), random.Random(3), drop=1.0)
    assert 1 <= len(caption.split()) <= 6


def test_articles_agree() -> None:
    rng = random.Random(4)
    captions = [write_caption(random_words(rng), rng, drop=0.3) for _ in range(500)]
    assert not any(" a orange" in f" {caption}" for caption in captions)
    assert not any("an one" in caption or "{" in caption for caption in captions)


def test_every_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    words = {word for phrase in phrases() for word in phrase.replace(",", "").split()}
    plain = {word for word in words if word.isalpha()}
    assert len(plain) > 100
    assert all(tokenizer.tokenize(word) == [f"{word}</w>"] for word in plain)


def test_captions_fit(tokenizer: CLIPTokenizer) -> None:
    rng = random.Random(5)
    captions = [write_caption(random_words(rng), rng) for _ in range(1000)]
    assert max(map(len, tokenizer(captions).input_ids)) <= MAX_TOKENS


def test_strange_words_and_capitals_survive_saving(
    tokenizer: CLIPTokenizer, tmp_path: Path
) -> None:
    tokenizer.save_pretrained(tmp_path)
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    for prompt in ("", "Zébra 🐘 in SPACE!", "a pink DRAGON"):
        token_ids = loaded(prompt).input_ids
        assert token_ids == tokenizer(prompt.lower()).input_ids
        assert token_ids.count(loaded.eos_token_id) == 1  # nothing was refused as unknown
    assert loaded.model_max_length == MAX_TOKENS
