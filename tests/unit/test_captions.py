"""Captions: what they say, and that the tokenizer knows every word of them."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from training.caption_tokenizer import build_tokenizer
from training.captions import (
    ADJECTIVES,
    FEATURES,
    MAX_TOKENS,
    MOODS,
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
        told = {name for name in words if name != "accent" or words["top"] != "nothing"}
        assert caption.said == told
        for name in told:
            ways = ways_to_say(name, words[name])
            assert any(way in caption.text for way in ways), (caption, name)


def test_what_is_left_out_is_not_said() -> None:
    rng = random.Random(6)
    for _ in range(300):
        words = random_words(rng)
        caption = write_caption(words, rng, drop=0.5, clear=True)
        for name in ("color", "background"):
            mentions = any(way in caption.text for way in ADJECTIVES[name][words[name]])
            assert mentions or name not in caption.said
    assert write_caption(words, rng, drop=1.0).said == frozenset()


def test_clear_captions_use_no_phrase_of_two_values() -> None:
    rng = random.Random(7)
    vague = 0
    for _ in range(500):
        words = random_words(rng) | {"background": "navy", "eyes": "happy eyes"}
        clear = write_caption(words, rng, clear=True).text
        assert "navy" in clear or "dark blue" in clear
        assert " happy " not in clear.replace("happy eyes", "")
        vague += " happy " in write_caption(words, rng).text.replace("happy eyes", "")
    assert vague  # otherwise such phrases do come


def test_dropping_everything_leaves_a_critter() -> None:
    caption = write_caption(random_words(random.Random(3)), random.Random(3), drop=1.0)
    assert 1 <= len(caption.text.split()) <= 6


def test_articles_agree() -> None:
    rng = random.Random(4)
    captions = [write_caption(random_words(rng), rng, drop=0.3).text for _ in range(500)]
    assert not any(" a orange" in f" {caption}" for caption in captions)
    assert not any("an one" in caption or "{" in caption for caption in captions)


def test_every_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    words = {word for phrase in phrases() for word in phrase.replace(",", "").split()}
    plain = {word for word in words if word.isalpha()}
    assert len(plain) > 100
    assert all(tokenizer.tokenize(word) == [f"{word}</w>"] for word in plain)


def test_captions_fit(tokenizer: CLIPTokenizer) -> None:
    rng = random.Random(5)
    captions = [write_caption(random_words(rng), rng).text for _ in range(1000)]
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
