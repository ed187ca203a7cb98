"""Captions for critters: a small grammar. Standard library only, as the page uses it, too.

``write_caption`` turns a picture's attributes into a sentence as a visitor might type it: synonyms,
several word orders, sometimes a list instead of a sentence, and attributes left out on purpose, so
that a model learns what to do when a prompt does not say.

Some words are vague like everyday speech: "a blue background" is said of navy and of sky blue, and
"happy" of a smile as well as of happy eyes.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

# Tokens in a prompt, the two that mark its ends included. Every caption fits.
MAX_TOKENS = 32

# Attribute -> value -> the ways to say it. The first is the value itself unless that does not read
# well in a sentence.
ADJECTIVES: dict[str, dict[str, tuple[str, ...]]] = {
    "body": {
        "domed": ("domed", "round", "dome-shaped"),
        "square": ("square", "boxy", "blocky"),
        "tall": ("tall", "thin", "skinny"),
        "wide": ("wide", "squat", "fat"),
        "bumpy": ("bumpy", "lumpy", "blob"),
        "pointed": ("pointed", "pointy"),
        "bell-shaped": ("bell-shaped", "flared"),
        "stepped": ("stepped", "tiered"),
        "tapered": ("tapered", "cup-shaped"),
        "leaning": ("leaning", "tilted", "lopsided"),
    },
    "color": {
        "red": ("red", "scarlet", "crimson"),
        "orange": ("orange", "tangerine"),
        "yellow": ("yellow", "golden"),
        "green": ("green", "lime"),
        "turquoise": ("turquoise", "cyan", "teal", "aqua"),
        "blue": ("blue",),
        "purple": ("purple", "violet", "lilac", "lavender"),
        "pink": ("pink", "rosy"),
        "brown": ("brown", "chocolate"),
        "grey": ("grey", "gray", "silver"),
    },
    "accent": {
        "white": ("white",),
        "yellow": ("yellow", "golden"),
        "green": ("green",),
        "blue": ("blue",),
        "pink": ("pink",),
    },
    "background": {
        "white": ("white",),
        "black": ("black",),
        "navy": ("navy", "dark blue", "navy blue", "blue"),
        "maroon": ("maroon", "dark red", "red"),
        "forest green": ("forest green", "dark green", "green"),
        "plum": ("plum", "dark purple", "purple"),
        "sky blue": ("sky blue", "light blue", "blue"),
        "peach": ("peach", "light orange", "orange"),
    },
}
FEATURES: dict[str, dict[str, tuple[str, ...]]] = {
    "eyes": {
        "round eyes": ("round eyes", "big eyes"),
        "dot eyes": ("dot eyes", "tiny eyes", "small eyes"),
        "sideways eyes": ("sideways eyes", "eyes looking sideways"),
        "one eye": ("one eye", "a single eye"),
        "three eyes": ("three eyes",),
        "four eyes": ("four eyes",),
        "happy eyes": ("happy eyes", "smiling eyes"),
        "closed eyes": ("closed eyes", "shut eyes"),
        "winking eyes": ("winking eyes", "a wink"),
        "squinting eyes": ("squinting eyes", "eyes squeezed shut"),
        "sleepy eyes": ("sleepy eyes", "tired eyes"),
        "angry eyes": ("angry eyes", "cross eyes"),
    },
    "mouth": {
        "smile": ("a smile", "a smiling mouth"),
        "grin": ("a grin", "a big grin"),
        "two teeth": ("two teeth", "buck teeth"),
        "one tooth": ("one tooth", "a single tooth"),
        "tongue": ("a tongue", "its tongue out"),
        "round mouth": ("a round mouth", "an open mouth"),
        "straight mouth": ("a straight mouth", "a flat mouth"),
        "wavy mouth": ("a wavy mouth", "a wobbly mouth"),
        "zigzag mouth": ("a zigzag mouth", "a jagged mouth"),
        "smirk": ("a smirk", "a sly smile"),
        "frown": ("a frown", "a sad mouth"),
    },
    # The accent's adjective goes where the braces are.
    "top": {
        "nothing": ("nothing on its head", "a bare head"),
        "horns": ("{} horns",),
        "spike": ("a {} spike", "one {} spike"),
        "spikes": ("{} spikes",),
        "antenna": ("a {} antenna", "one {} antenna"),
        "antennae": ("{} antennae", "two {} antennae"),
        "round ears": ("{} round ears",),
        "pointy ears": ("{} pointy ears",),
        "fin": ("a {} fin",),
        "crown": ("a {} crown",),
        "sprout": ("a {} sprout", "a {} leaf"),
    },
}
# A feature said as an adjective instead: "a winking blue monster".
MOODS: dict[str, dict[str, tuple[str, ...]]] = {
    "eyes": {
        "one eye": ("one-eyed",),
        "three eyes": ("three-eyed",),
        "four eyes": ("four-eyed",),
        "happy eyes": ("happy",),
        "winking eyes": ("winking",),
        "sleepy eyes": ("sleepy", "tired"),
        "angry eyes": ("angry", "cross"),
    },
    "mouth": {
        "smile": ("smiling", "happy"),
        "grin": ("grinning", "happy"),
        "smirk": ("smirking", "sly"),
        "frown": ("frowning", "sad"),
    },
}
NOUNS = ("critter", "monster", "creature", "little monster", "beast", "alien")
OPENINGS = ("a", "a", "a", "a cute", "a funny", "a picture of a", "a drawing of a", "one")
BACKDROPS = ("on a {} background", "on a {} background", "in front of a {} wall", "on {}")


@dataclass(frozen=True)
class Caption:
    """A caption, and what it tells.

    Attributes:
        text: At most ``MAX_TOKENS`` tokens.
        said: The attributes that it names; the accent only together with a top.
    """

    text: str
    said: frozenset[str]


def write_caption(
    words: Mapping[str, str], rng: random.Random, *, drop: float = 0.0, clear: bool = False
) -> Caption:
    """Describe a critter in one sentence, or in a list of phrases.

    Args:
        words: Attribute -> value, as ``Critters.describe`` gives them.
        rng: Decides the wording: the same state gives the same caption.
        drop: Chance, 0 to 1, that an attribute is left out, for each on its own.
        clear: Use no phrase that could mean another value as well.

    Returns:
        A caption. Every attribute is in it if ``drop`` is 0, save for the colour of a top that is
        not there.

    Raises:
        KeyError: An attribute that the grammar knows is missing, or its value is unknown.
    """

    def choose(ways: tuple[str, ...], vague: frozenset[str]) -> str:
        return rng.choice([way for way in ways if not (clear and way in vague)])

    kept = {name for name in ("body", "color", "accent", "background") if rng.random() >= drop}
    adjectives = {
        name: choose(ADJECTIVES[name][words[name]], _VAGUE[name]) for name in sorted(kept)
    }
    said = set(adjectives) - {"accent"}
    features: list[str] = []
    moods: list[str] = []
    for name in ("eyes", "mouth", "top"):
        if rng.random() < drop:
            continue
        said.add(name)
        mood = [
            way
            for way in MOODS.get(name, {}).get(words[name], ())
            if not (clear and way in _VAGUE["mood"])
        ]
        if mood and not moods and rng.random() < 0.3:
            moods.append(rng.choice(mood))
        else:
            phrase = rng.choice(FEATURES[name][words[name]])
            if "{}" in phrase and "accent" in adjectives:
                said.add("accent")
            features.append(" ".join(phrase.format(adjectives.get("accent", "")).split()))
    rng.shuffle(features)
    looks = [adjectives[name] for name in ("color", "body") if name in adjectives]
    rng.shuffle(looks)
    background = adjectives.get("background")
    write = _write_list if rng.random() < 0.15 else _write_sentence
    text = write(moods + looks, features, background, rng)
    return Caption(re.sub(r"\ba (?=[aeiou])(?!one)", "an ", text), frozenset(said))


def _find_vague() -> dict[str, frozenset[str]]:
    """Attribute, or "mood" -> the phrases that are said of several of its values."""
    tables = {name: list(table.values()) for name, table in ADJECTIVES.items()}
    tables["mood"] = [ways for table in MOODS.values() for ways in table.values()]
    counts = {name: Counter(chain.from_iterable(ways)) for name, ways in tables.items()}
    return {
        name: frozenset(way for way, count in count.items() if count > 1)
        for name, count in counts.items()
    }


_VAGUE = _find_vague()


def _write_list(
    looks: list[str], features: list[str], background: str | None, rng: random.Random
) -> str:
    """Return "red, monster, horns, one eye, navy background" in any order."""
    words = [rng.choice(NOUNS), *looks, *features]
    if background:
        words.append(f"{background} background")
    rng.shuffle(words)
    return ", ".join(words)


def _write_sentence(
    looks: list[str], features: list[str], background: str | None, rng: random.Random
) -> str:
    """Return "a red square monster with horns and one eye on a navy background"."""
    sentence = " ".join([rng.choice(OPENINGS), *looks, rng.choice(NOUNS)])
    if background and rng.random() < 0.3:
        features = [*features, f"a {background} background"]
        background = None
    if features:
        *head, last = features
        sentence += " with " + (f"{', '.join(head)} and {last}" if head else last)
    if background is None:
        return sentence
    backdrop = rng.choice(BACKDROPS).format(background)
    return f"{backdrop}, {sentence}" if rng.random() < 0.15 else f"{sentence} {backdrop}"


def phrases() -> Iterator[str]:
    """Yield every phrase that a caption can be made of."""
    yield from (
        *NOUNS,
        *OPENINGS,
        *(backdrop.format("") for backdrop in BACKDROPS),
        "an and with, background",
    )
    for table in (ADJECTIVES, FEATURES, MOODS):
        for values in table.values():
            for ways in values.values():
                yield from (way.format("") for way in ways)
