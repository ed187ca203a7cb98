"""Labelled critters: little monsters drawn by DiceBear's ``critters`` style, with what is in each.

    python -m training.critter_data --count 20000
    python -m training.critter_data --count 50000 --skew smiling

draws the pictures and keeps them in ``.cache/training``; the training scripts do the same when they
find none. The style is CC0 1.0 (its authors waive their rights); nothing is downloaded, because the
drawing code and the style come from the packages ``dicebear-core`` and ``dicebear-styles``.

Every attribute is drawn uniformly and independently of the others, so whatever a model ties
together is the model's doing and not the data's. Of each part the style offers, we keep the
variants that can be told apart at 64 x 64 pixels and named in a word or two, and leave out belly
patterns and cheeks. There are 5.8 million different critters.

A skew breaks that rule on purpose, to see what models make of it: with ``smiling``, nine in ten red
critters smile, and nothing else is changed.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import resources
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from PIL import Image
from tqdm import tqdm

from training import common
from training.critter_colors import ACCENTS, BACKGROUNDS, COLORS

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
VALUES: dict[str, tuple[str, ...]] = {name: tuple(words) for name, (_, words) in ATTRIBUTES.items()}


def _draw_pairs(one: str, other: str, count: int) -> frozenset[tuple[str, str]]:
    return frozenset(random.Random(0).sample([*product(VALUES[one], VALUES[other])], count))


# Pairs of values that image/critters never meets in training, so that it can be asked for what it
# has not seen: whoever has learned what a crown is and what a square body is can put them together.
HELD_OUT_PAIRS: dict[tuple[str, str], frozenset[tuple[str, str]]] = {
    ("body", "top"): _draw_pairs("body", "top", 40),
    ("eyes", "mouth"): _draw_pairs("eyes", "mouth", 40),
}


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

# Below this many pictures, starting worker processes takes longer than drawing.
_WORTH_WORKERS = 500
_REPORT_EVERY = 25


@dataclass(frozen=True)
class Critters:
    """Pictures and what is in them.

    Attributes:
        images: (N, size, size, 3) uint8, RGB.
        attributes: Name -> (N,) int64, an index into ``values[name]``.
        values: Name -> the words for each index, fit for captions.
    """

    images: np.ndarray
    attributes: dict[str, np.ndarray]
    values: dict[str, tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.images)

    def describe(self, index: int) -> dict[str, str]:
        """Return the attributes of one picture in words."""
        return {
            name: self.values[name][int(column[index])] for name, column in self.attributes.items()
        }

    def select(self, chosen: np.ndarray) -> Critters:
        """Return those that ``chosen``, (N,) bool, is true of."""
        attributes = {name: column[chosen] for name, column in self.attributes.items()}
        return Critters(self.images[chosen], attributes, self.values)


def critters_file(count: int, *, seed: int, size: int = 64, skew: str | None = None) -> Path:
    """Where ``load_critters`` keeps what it has drawn."""
    return common.DATA_CACHE / f"{skew or 'critters'}-{size}-{seed}-{count}.npz"


def load_critters(
    count: int = 20_000,
    *,
    seed: int = 0,
    size: int = 64,
    skew: str | None = None,
    report: Callable[[int], None] | None = None,
) -> Critters:
    """Return ``count`` critters of ``size`` pixels, drawn on first use and cached after that.

    The same ``seed`` gives the same attributes and pictures; take another for held-out pictures.
    With ``report``, which is told now and then how many are drawn, one core draws them all.

    Raises:
        KeyError: There is no such ``skew`` in ``SKEWS``.
    """
    attributes = sample_attributes(count, seed=seed, skew=skew)
    path = critters_file(count, seed=seed, size=size, skew=skew)
    if path.exists():
        images = np.load(path)["images"]
    else:
        if skew:  # most pictures are those of the fair set
            fair = load_critters(count, seed=seed, size=size)
            changed = np.any([attributes[name] != fair.attributes[name] for name in VALUES], axis=0)
            images = fair.images.copy()
            images[changed] = _render_all(
                {name: column[changed] for name, column in attributes.items()}, size, report
            )
        else:
            images = _render_all(attributes, size, report)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(f".{os.getpid()}.partial")
        with unfinished.open("wb") as file:
            np.savez_compressed(file, images=images)
        os.replace(unfinished, path)
    return Critters(images, attributes, VALUES)


def sample_attributes(count: int, *, seed: int, skew: str | None = None) -> dict[str, np.ndarray]:
    """Draw each attribute uniformly and independently, save for a skew: name -> (count,) int64.

    A skewed draw differs from the fair one of the same seed only in the attribute that it changes.

    Raises:
        KeyError: There is no such ``skew`` in ``SKEWS``.
    """
    rng = np.random.default_rng(seed)
    attributes = {name: rng.integers(len(words), size=count) for name, words in VALUES.items()}
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


def count_held_out(attributes: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return how many of ``HELD_OUT_PAIRS`` each row of ``attributes`` has: (N,) int64, 0 to 2."""
    found = np.zeros(len(attributes["body"]), dtype=np.int64)
    for (one, other), pairs in HELD_OUT_PAIRS.items():
        table = np.array([[(a, b) in pairs for b in VALUES[other]] for a in VALUES[one]])
        found += table[attributes[one], attributes[other]]
    return found


def render_critter(words: Mapping[str, str], size: int = 64) -> np.ndarray:
    """Draw the critter that ``words`` (attribute -> value) describe: (size, size, 3) uint8.

    Raises:
        KeyError: An attribute is missing or has a value that ``VALUES`` does not list.
    """
    options: dict[str, Any] = {
        "seed": "critter",
        "animationVariant": ["none"],
        "patternProbability": 0,
        "cheeksProbability": 0,
        "topProbability": 0 if words["top"] == "nothing" else 100,
    }
    for name, (option, names) in ATTRIBUTES.items():
        if variant := names[words[name]]:
            options[option] = [variant]
    svg = Avatar(_style(), options).to_json()["svg"]
    png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@cache
def _style() -> Style:
    """The critters style, allowed to give a top the colour of the body."""
    definition = json.loads(
        resources.files("dicebear_styles").joinpath("critters.json").read_text()
    )
    definition["colors"]["accent"].pop("notEqualTo")
    return Style(definition)


def _render_all(
    attributes: Mapping[str, np.ndarray], size: int, report: Callable[[int], None] | None
) -> np.ndarray:
    """Draw every row of ``attributes``, over all cores where that pays and nobody is told."""
    count = len(attributes["body"])
    rows = [
        {name: VALUES[name][int(column[index])] for name, column in attributes.items()}
        for index in range(count)
    ]
    draw = partial(render_critter, size=size)
    if report or count < _WORTH_WORKERS:
        images = []
        for row in rows:
            images.append(draw(row))
            if report and len(images) % _REPORT_EVERY == 0:
                report(len(images))
        return np.stack(images)
    # Started afresh rather than forked: a process that runs torch's threads must not be forked.
    with multiprocessing.get_context("spawn").Pool() as pool:
        drawn = pool.imap(draw, rows, chunksize=64)
        return np.stack(list(tqdm(drawn, total=count, desc="critters", unit="picture")))


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
