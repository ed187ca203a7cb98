"""Labelled critters: little monsters drawn by DiceBear's ``critters`` style, with what is in each.

    python -m training.critter_data --count 20000
    python -m training.critter_data --count 50000 --skew smiling

draws the pictures and keeps them in ``.cache/training``; the training scripts do the same when they
find none. The style is CC0 1.0 (its authors waive their rights); nothing is downloaded, because the
drawing code and the style come from the packages ``dicebear-core`` and ``dicebear-styles``.

Of each part the style offers, we keep the variants that can be told apart at 64 x 64 pixels and
named in a word or two, and leave out belly patterns and cheeks. There are 5.8 million different
critters.

Every attribute is drawn uniformly and independently of the others (``training/world.py``). A skew
breaks that rule on purpose, to see what models make of it: with ``smiling``, nine in ten red
critters smile, and nothing else is changed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.captions import GRAMMARS
from training.critter_colors import ACCENTS, BACKGROUNDS, COLORS
from training.world import Pictures, World, draw_pairs, keep_images, pictures_file

# The words that captions and labels use -> what DiceBear calls it.
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


@dataclass(frozen=True)
class Skew:
    """An unfair rule: a ``share`` of the critters with ``cause`` have ``effect``, too.

    Both are an attribute and a value. The rest of those with ``cause`` have the other values of the
    effect's attribute, drawn uniformly.
    """

    cause: tuple[str, str]
    effect: tuple[str, str]
    share: float


SKEWS: dict[str, Skew] = {"smiling": Skew(("color", "red"), ("mouth", "smile"), 0.9)}


def critters_file(count: int, *, seed: int, size: int = 64, skew: str | None = None) -> Path:
    """Where ``load_critters`` keeps what it has drawn."""
    return pictures_file(skew or CRITTERS.name, count, seed=seed, size=size)


def load_critters(
    count: int = 20_000,
    *,
    seed: int = 0,
    size: int = 64,
    skew: str | None = None,
    report: Callable[[int], None] | None = None,
) -> Pictures:
    """Return ``count`` critters, with a skew if one is named: see ``World.load``.

    Raises:
        KeyError: There is no such ``skew`` in ``SKEWS``.
    """
    if not skew:
        return CRITTERS.load(count, seed=seed, size=size, report=report)
    attributes = sample_attributes(count, seed=seed, skew=skew)

    def draw() -> np.ndarray:
        fair = CRITTERS.load(count, seed=seed, size=size)  # most pictures are the same
        changed = np.any([attributes[name] != fair.attributes[name] for name in VALUES], axis=0)
        images = fair.images.copy()
        images[changed] = CRITTERS.render_all(
            {name: column[changed] for name, column in attributes.items()}, size, report
        )
        return images

    path = critters_file(count, seed=seed, size=size, skew=skew)
    return Pictures(keep_images(path, draw), attributes, CRITTERS)


def sample_attributes(count: int, *, seed: int, skew: str | None = None) -> dict[str, np.ndarray]:
    """Draw each attribute uniformly and independently, save for a skew: name -> (count,) int64.

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


def main() -> None:
    """Draw and cache the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=20_000, help="how many pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--skew", choices=tuple(SKEWS), help="an unfair set")
    arguments = parser.parse_args()
    critters = load_critters(
        arguments.count, seed=arguments.seed, size=arguments.size, skew=arguments.skew
    )
    print(f"{len(critters):,} critters, for example {critters.describe(0)}")


if __name__ == "__main__":
    main()
