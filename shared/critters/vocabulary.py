"""The words of the captions, world by world. Standard library only, since the page uses them too.

Some phrases are ambiguous, as in everyday speech: "a blue background" can be navy or sky blue, and
"happy" a smile or happy eyes. A word means the same in every world.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from shared.critters.captions import Grammar

Table = Mapping[str, tuple[str, ...]]  # value -> its phrases

_COLORS: Table = {
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
}
_ACCENTS: Table = {
    "white": ("white",),
    "yellow": ("yellow", "golden"),
    "green": ("green",),
    "blue": ("blue",),
    "pink": ("pink",),
}
_BACKGROUNDS: Table = {
    "white": ("white",),
    "black": ("black",),
    "navy": ("navy", "dark blue", "navy blue", "blue"),
    "maroon": ("maroon", "dark red", "red"),
    "forest green": ("forest green", "dark green", "green"),
    "plum": ("plum", "dark purple", "purple"),
    "sky blue": ("sky blue", "light blue", "blue"),
    "peach": ("peach", "light orange", "orange"),
}
_EYES: Table = {
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
}
_MOUTHS: Table = {
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
}


def _pick(table: Table, *names: str) -> Table:
    return {name: table[name] for name in names}


_CRITTERS = Grammar(
    nouns=("critter", "monster", "creature", "little monster", "beast", "alien"),
    adjectives={
        "color": _COLORS,
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
        "accent": _ACCENTS,
        "background": _BACKGROUNDS,
    },
    features={
        "eyes": _EYES,
        "mouth": _MOUTHS,
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
    },
    moods={
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
    },
    backdrops=("on a {} background", "on a {} background", "in front of a {} wall", "on {}"),
)
_SPROUTS = Grammar(
    nouns=("pot", "plant pot", "flower pot", "potted plant", "little pot", "houseplant"),
    adjectives={
        "color": _COLORS,
        "pot": {
            "square": ("square", "boxy", "blocky"),
            "round": ("round", "ball-shaped"),
            "tapered": ("tapered", "cup-shaped"),
            "rimmed": ("rimmed", "brimmed"),
        },
        "accent": _pick(_ACCENTS, "white", "yellow", "blue", "pink"),
        "background": _BACKGROUNDS,
    },
    features={
        "plant": {
            "sprout": ("a sprout", "a seedling"),
            "cactus": ("a cactus",),
            "aloe": ("an aloe", "a succulent"),
            "beanstalk": ("a beanstalk", "a climber"),
            "palm": ("a palm", "a palm tree"),
            "grass": ("grass", "blades of grass"),
            "flower": ("a {} flower", "a {} daisy"),
            "tulip": ("a {} tulip", "one {} tulip"),
            "buds": ("{} buds", "two {} buds"),
        },
        "eyes": _pick(
            _EYES,
            *("round eyes", "dot eyes", "sideways eyes", "happy eyes"),
            *("closed eyes", "winking eyes", "sleepy eyes", "angry eyes"),
        ),
        "mouth": _pick(
            _MOUTHS, "smile", "grin", "round mouth", "straight mouth", "tongue", "frown"
        ),
    },
    moods=_CRITTERS.moods,
    backdrops=_CRITTERS.backdrops,
)
# World -> its grammar.
GRAMMARS: dict[str, Grammar] = {
    "critters": _CRITTERS,
    "sprouts": _SPROUTS,
}


def read_worlds(folder: Path) -> tuple[str, ...]:
    """Return the worlds of the model in ``folder``, from its ``training.json``.

    Without that file they are critters only.
    """
    file = folder / "training.json"
    record = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return tuple(record.get("worlds", ["critters"]))
