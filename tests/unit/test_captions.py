"""Captions: what they say, and that the tokenizer knows every word of them."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

from shared.critters.captions import MAX_TOKENS, Grammar, write_caption
from shared.critters.vocabulary import GRAMMARS, read_worlds
from shared.critters.worlds import WORLDS
from training.caption_tokenizer import build_tokenizer, grow_tokenizer, phrases

WORDS = {name: world.values for name, world in WORLDS.items()}


def random_words(rng: random.Random, world: str = "critters") -> dict[str, str]:
    return {name: rng.choice(values) for name, values in WORDS[world].items()}


def ways_to_say(grammar: Grammar, name: str, value: str) -> list[str]:
    tables = (grammar.adjectives, grammar.features, grammar.moods)
    ways = [way for table in tables for way in table.get(name, {}).get(value, ())]
    return [part.strip() for way in ways for part in [way.split("{}")[-1]]]


def plain_words(phrases: Iterable[str]) -> set[str]:
    words = {word for phrase in phrases for word in phrase.replace(",", "").split()}
    return {word for word in words if word.isalpha()}


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return build_tokenizer()


@pytest.fixture(params=GRAMMARS)
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_same_rng_gives_same_caption(world: str) -> None:
    words, grammar = random_words(random.Random(1), world), GRAMMARS[world]
    captions = {write_caption(words, random.Random(7), grammar, drop=0.2) for _ in range(5)}
    others = {write_caption(words, random.Random(seed), grammar) for seed in range(20)}
    assert len(captions) == 1
    assert len(others) > 15


def test_nothing_is_left_out_unless_asked(world: str) -> None:
    rng, grammar = random.Random(2), GRAMMARS[world]
    hidden = {"critters": "top", "sprouts": "plant"}.get(world, "")
    without = 0
    for _ in range(300):
        words = random_words(rng, world)
        caption = write_caption(words, rng, grammar)
        told = set(words)
        if hidden and words[hidden] not in grammar.accented[1]:
            told -= {"accent"}
            without += 1
        assert caption.named == told
        for name in told:
            ways = ways_to_say(grammar, name, words[name])
            assert any(way in caption.text for way in ways), (caption, name)
    assert bool(without) == bool(hidden)


def test_what_is_left_out_is_not_said(world: str) -> None:
    rng, grammar = random.Random(6), GRAMMARS[world]
    for _ in range(300):
        words = random_words(rng, world)
        caption = write_caption(words, rng, grammar, drop=0.5, clear=True)
        for name in ("color", "background"):
            mentions = any(way in caption.text for way in grammar.adjectives[name][words[name]])
            assert mentions or name not in caption.named
    assert write_caption(words, rng, grammar, drop=1.0).named == frozenset()


def test_clear_captions_use_no_phrase_of_two_values() -> None:
    rng, grammar = random.Random(7), GRAMMARS["critters"]
    vague = 0
    for _ in range(500):
        words = random_words(rng) | {"background": "navy", "eyes": "happy eyes"}
        clear = write_caption(words, rng, grammar, clear=True).text
        assert "navy" in clear or "dark blue" in clear
        assert " happy " not in clear.replace("happy eyes", "")
        text = write_caption(words, rng, grammar).text
        vague += " happy " in text.replace("happy eyes", "")
    assert vague  # otherwise such phrases do come


def test_clear_captions_say_which_world_they_mean(world: str) -> None:
    rng = random.Random(8)
    nouns = {name: set(" ".join(grammar.nouns).split()) for name, grammar in GRAMMARS.items()}
    others = set().union(*(nouns[name] for name in nouns if name != world)) - {"little"}
    assert not nouns[world] & others
    for _ in range(100):
        caption = write_caption(random_words(rng, world), rng, GRAMMARS[world], drop=0.5)
        assert set(caption.text.replace(",", "").split()) & nouns[world]


def test_dropping_everything_leaves_a_noun(world: str) -> None:
    words = random_words(random.Random(3), world)
    caption = write_caption(words, random.Random(3), GRAMMARS[world], drop=1.0)
    assert 1 <= len(caption.text.split()) <= 6


def test_articles_agree(world: str) -> None:
    rng = random.Random(4)
    captions = [
        write_caption(random_words(rng, world), rng, GRAMMARS[world], drop=0.3).text
        for _ in range(500)
    ]
    assert not any(" a orange" in f" {caption}" for caption in captions)
    assert not any("an one" in caption or "{" in caption for caption in captions)


def test_every_word_is_one_token(tokenizer: CLIPTokenizer) -> None:
    plain = plain_words(phrases())
    assert len(plain) > 150
    assert all(tokenizer.tokenize(word) == [f"{word}</w>"] for word in plain)


def test_a_vocabulary_grows_and_what_it_knew_stays() -> None:
    known = ["a red monster with horns", "thin rings", "moon"]
    small = build_tokenizer(known)
    large = grow_tokenizer(small, phrases())
    assert small.get_vocab().items() <= large.get_vocab().items()
    for phrase in known:
        assert large(phrase).input_ids == small(phrase).input_ids
    assert all(large.tokenize(word) == [f"{word}</w>"] for word in plain_words(phrases()))
    assert len(large) == len(set(large.get_vocab().values()))


def test_captions_fit(tokenizer: CLIPTokenizer, world: str) -> None:
    rng = random.Random(5)
    captions = [
        write_caption(random_words(rng, world), rng, GRAMMARS[world]).text for _ in range(1000)
    ]
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


def test_a_model_without_a_record_draws_critters(tmp_path: Path) -> None:
    assert read_worlds(tmp_path) == ("critters",)
    (tmp_path / "training.json").write_text('{"worlds": ["critters", "sprouts"]}')
    assert read_worlds(tmp_path) == ("critters", "sprouts")
