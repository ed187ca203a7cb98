"""Labelled critters: little monsters drawn by DiceBear's ``critters`` style, with their attributes.

The style is CC0 1.0 (its authors waive their rights); nothing is downloaded, because the drawing
code and the style come from the packages ``dicebear-core`` and ``dicebear-styles``.

Of each part we keep the variants that differ visibly at 64 x 64 pixels and have a name of a word
or two, without belly patterns and cheeks. There are 5.8 million different
critters.

Every attribute is drawn uniformly and independently of the others (``world.py``). A skew
breaks that rule on purpose, to show its effect on models: with ``smiling``, nine in ten red
critters smile, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from shared.critters.colors import ACCENTS, BACKGROUNDS, COLORS
from shared.critters.vocabulary import GRAMMARS
from shared.critters.world import World, draw_pairs

# The words of captions and labels -> DiceBear's names.
BODIES = {
    "domed": "dome",
    "square": "block",
    "tall": "tower",
    "wide": "squat",
    "bumpy": "blob",
    "pointed": "peak",
    "bell-shaped": "bell",
    "stepped": "steps",
    "tapered": "wedgeInv",
    "leaning": "lean",
}
EYES = {
    "round eyes": "round",
    "dot eyes": "dots",
    "sideways eyes": "sideeye",
    "one eye": "mono",
    "three eyes": "trio",
    "four eyes": "four",
    "happy eyes": "happy",
    "closed eyes": "closedLine",
    "winking eyes": "wink",
    "squinting eyes": "squint",
    "sleepy eyes": "sleepy",
    "angry eyes": "angry",
}
MOUTHS = {
    "smile": "smile",
    "grin": "grin",
    "two teeth": "teeth",
    "one tooth": "tooth",
    "tongue": "tongue",
    "round mouth": "ooh",
    "straight mouth": "line",
    "wavy mouth": "wavy",
    "zigzag mouth": "zigzag",
    "smirk": "smirk",
    "frown": "frown",
}
TOPS = {
    "nothing": "",
    "horns": "horns",
    "spike": "spike",
    "spikes": "spikes",
    "antenna": "antenna",
    "antennae": "antennae",
    "round ears": "earsRound",
    "pointy ears": "earsPointy",
    "fin": "fin",
    "crown": "crown",
    "sprout": "sprout",
}
# Attribute -> (DiceBear's option, words -> DiceBear's names). The accent is the colour of the top,
# so it cannot be seen where the top is "nothing".
ATTRIBUTES: dict[str, tuple[str, dict[str, str]]] = {
    "body": ("bodyVariant", BODIES),
    "color": ("bodyColor", COLORS),
    "accent": ("accentColor", ACCENTS),
    "eyes": ("eyesVariant", EYES),
    "mouth": ("mouthVariant", MOUTHS),
    "top": ("topVariant", TOPS),
    "background": ("backgroundColor", BACKGROUNDS),
}
CRITTERS = World(
    name="critters",
    grammar=GRAMMARS["critters"],
    attributes=ATTRIBUTES,
    fixed={"seed": "critter", "patternProbability": 0, "cheeksProbability": 0},
    held_out_pairs={
        ("body", "top"): draw_pairs(ATTRIBUTES, "body", "top", 40),
        ("eyes", "mouth"): draw_pairs(ATTRIBUTES, "eyes", "mouth", 40),
    },
)
VALUES = CRITTERS.values
BARE = VALUES["top"].index("nothing")  # a critter without a top shows no accent colour


@dataclass(frozen=True)
class Skew:
    """An unfair rule: a ``share`` of the critters with ``cause`` also have ``effect``.

    Both are an attribute and a value. The rest of those with ``cause`` have the other values of the
    effect's attribute, drawn uniformly.
    """

    cause: tuple[str, str]
    effect: tuple[str, str]
    share: float


SKEWS: dict[str, Skew] = {"smiling": Skew(("color", "red"), ("mouth", "smile"), 0.9)}


def sample_attributes(count: int, *, seed: int, skew: str | None = None) -> dict[str, np.ndarray]:
    """Draw each attribute uniformly and independently, except for a skew: name -> (count,) int64.

    A skewed draw differs from the fair one of the same seed only in the attribute that it changes.

    Raises:
        KeyError: There is no such ``skew`` in ``SKEWS``.
    """
    rng = np.random.default_rng(seed)
    attributes = CRITTERS.sample(count, rng)
    if skew:
        rule = SKEWS[skew]
        name, word = rule.effect
        favourite = VALUES[name].index(word)
        others = np.delete(np.arange(len(VALUES[name])), favourite)
        skewed = np.where(rng.random(count) < rule.share, favourite, rng.choice(others, count))
        cause, value = rule.cause
        hit = attributes[cause] == VALUES[cause].index(value)
        attributes[name] = np.where(hit, skewed, attributes[name])
    return attributes


def render_critter(words: Mapping[str, str], size: int = 64) -> np.ndarray:
    """Draw the critter that ``words`` (attribute -> value) describe: (size, size, 3) uint8.

    Raises:
        KeyError: An attribute is missing or has a value that ``VALUES`` does not list.
    """
    return CRITTERS.render(words, size)
