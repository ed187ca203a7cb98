"""Captions: a small grammar. Standard library only, since the page uses it too.

``write_caption`` turns a picture's attributes into a sentence that a visitor might type: synonyms,
several word orders, sometimes a list instead of a sentence, and attributes left out on purpose, so
that a model learns to draw prompts that do not name them. ``vocabulary.py`` has the words.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

# Tokens in a prompt, including begin and end token. Every caption fits.
MAX_TOKENS = 32
OPENINGS = ("a", "a", "a", "a cute", "a funny", "a picture of a", "a drawing of a", "one")

# Attribute -> value -> its phrases. The first is the value itself unless that does not read well
# in a sentence.
Ways = Mapping[str, Mapping[str, tuple[str, ...]]]


@dataclass(frozen=True)
class Grammar:
    """The words of one world.

    Attributes:
        nouns: Names of what its pictures show.
        adjectives: Attributes before the noun; but the accent is the colour of a feature, and the
            background is at the end.
        features: Attributes after the noun. Braces mark the place of the accent.
        moods: Features that can also be an adjective: "a winking blue monster".
        backdrops: Phrases for the background.
    """

    nouns: tuple[str, ...]
    adjectives: Ways
    features: Ways
    backdrops: tuple[str, ...]
    moods: Ways = field(default_factory=dict)

    @property
    def looks(self) -> tuple[str, ...]:
        """The attributes before the noun."""
        return tuple(name for name in self.adjectives if name not in ("accent", "background"))

    @property
    def accented(self) -> tuple[str, frozenset[str]]:
        """The feature whose colour is the accent, and those of its values that show it.

        Raises:
            StopIteration: This world has no accent.
        """
        return next(
            (name, values)
            for name, table in self.features.items()
            if (values := frozenset(word for word, ways in table.items() if "{}" in ways[0]))
        )

    @cached_property
    def ambiguous(self) -> dict[str, frozenset[str]]:
        """Attribute, or "mood" -> the phrases of more than one of its values."""
        tables = {name: list(table.values()) for name, table in self.adjectives.items()}
        tables["mood"] = [ways for table in self.moods.values() for ways in table.values()]
        counts = {name: Counter(chain.from_iterable(ways)) for name, ways in tables.items()}
        return {
            name: frozenset(way for way, count in count.items() if count > 1)
            for name, count in counts.items()
        }

    def phrases(self) -> Iterator[str]:
        """Yield every phrase of the captions."""
        yield from (
            *self.nouns,
            *OPENINGS,
            *(backdrop.format("") for backdrop in self.backdrops),
            "an and with, background",
        )
        for table in (self.adjectives, self.features, self.moods):
            for values in table.values():
                for ways in values.values():
                    yield from (way.format("") for way in ways)


@dataclass(frozen=True)
class Caption:
    """A caption, and the attributes that it names.

    Attributes:
        text: At most ``MAX_TOKENS`` tokens.
        named: The attributes that it names; the accent only together with the part of that colour.
    """

    text: str
    named: frozenset[str]


def write_caption(
    words: Mapping[str, str],
    rng: random.Random,
    grammar: Grammar,
    *,
    drop: float = 0.0,
    clear: bool = False,
) -> Caption:
    """Describe a picture in one sentence, or in a list of phrases.

    Args:
        words: Attribute -> value, as returned by ``Pictures.describe``.
        rng: For the wording: the same state gives the same caption.
        grammar: Of the picture's world.
        drop: Probability that an attribute is left out, independently of the others.
        clear: Use only phrases of a single value.

    Returns:
        A caption. It names every attribute if ``drop`` is 0, except the colour of a missing part.

    Raises:
        KeyError: An attribute of the grammar is missing, or its value is unknown.
    """

    def choose(ways: tuple[str, ...], ambiguous: frozenset[str]) -> str:
        return rng.choice([way for way in ways if not (clear and way in ambiguous)])

    kept = [name for name in grammar.adjectives if rng.random() >= drop]
    adjectives = {
        name: choose(grammar.adjectives[name][words[name]], grammar.ambiguous[name])
        for name in sorted(kept)
    }
    named = set(adjectives) - {"accent"}
    features: list[str] = []
    moods: list[str] = []
    for name, table in grammar.features.items():
        if rng.random() < drop:
            continue
        named.add(name)
        mood = [
            way
            for way in grammar.moods.get(name, {}).get(words[name], ())
            if not (clear and way in grammar.ambiguous["mood"])
        ]
        if mood and not moods and rng.random() < 0.3:
            moods.append(rng.choice(mood))
        else:
            phrase = rng.choice(table[words[name]])
            if "{}" in phrase and "accent" in adjectives:
                named.add("accent")
            features.append(" ".join(phrase.format(adjectives.get("accent", "")).split()))
    rng.shuffle(features)
    looks = [adjectives[name] for name in grammar.looks if name in adjectives]
    rng.shuffle(looks)
    background = adjectives.get("background")
    write = _write_list if rng.random() < 0.15 else _write_sentence
    text = write(grammar, moods + looks, features, background, rng)
    return Caption(correct_articles(text), frozenset(named))


def join_features(features: list[str]) -> str:
    """Return "a smile, horns and one eye"; features must not be empty."""
    *head, last = features
    return f"{', '.join(head)} and {last}" if head else last


def correct_articles(text: str) -> str:
    """Write "an" before a vowel."""
    return re.sub(r"\ba (?=[aeiou])(?!one)", "an ", text)


def _write_list(
    grammar: Grammar,
    looks: list[str],
    features: list[str],
    background: str | None,
    rng: random.Random,
) -> str:
    """Return "red, monster, horns, one eye, navy background" in any order."""
    words = [rng.choice(grammar.nouns), *looks, *features]
    if background:
        words.append(f"{background} background")
    rng.shuffle(words)
    return ", ".join(words)


def _write_sentence(
    grammar: Grammar,
    looks: list[str],
    features: list[str],
    background: str | None,
    rng: random.Random,
) -> str:
    """Return "a red square monster with horns and one eye on a navy background"."""
    sentence = " ".join([rng.choice(OPENINGS), *looks, rng.choice(grammar.nouns)])
    if background and rng.random() < 0.3:
        features = [*features, f"a {background} background"]
        background = None
    if features:
        sentence += f" with {join_features(features)}"
    if background is None:
        return sentence
    backdrop = rng.choice(grammar.backdrops).format(background)
    return f"{backdrop}, {sentence}" if rng.random() < 0.15 else f"{sentence} {backdrop}"
