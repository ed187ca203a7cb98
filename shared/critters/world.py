"""A world: one kind of picture that a style of DiceBear draws, with its attributes.

``worlds.py`` lists them. Nothing is downloaded: the drawing code and the styles come from
the packages ``dicebear-core`` and ``dicebear-styles``.

Every attribute is drawn uniformly and independently of the others, so any correlation in a model's
pictures comes from the model and not from the data.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

import numpy as np
import resvg_py
from dicebear import Avatar, Style
from PIL import Image

from shared.critters.captions import Grammar

Attributes = Mapping[str, np.ndarray]  # name -> (N,) int64, an index into the values of that name
Pairs = Mapping[tuple[str, str], frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class World:
    """One kind of picture: its rendering, its captions, and what training leaves out.

    Attributes:
        name: DiceBear's name of the style; also used in names of files and figures.
        grammar: Its captions.
        attributes: Name -> (DiceBear's option, words -> DiceBear's names). A part that has the name
            "" is left out of the picture.
        fixed: Options of DiceBear that are the same in every picture.
        held_out_pairs: Two attributes -> pairs of values that image/critters never meets in
            training, to test whether it can combine attributes that it has only seen apart.
    """

    name: str
    grammar: Grammar
    attributes: Mapping[str, tuple[str, Mapping[str, str]]]
    fixed: Mapping[str, Any]
    held_out_pairs: Pairs

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> its values, in the order of their numbers."""
        return {name: tuple(words) for name, (_, words) in self.attributes.items()}

    def sample(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Draw each attribute uniformly and independently: name -> (count,) int64."""
        return {name: rng.integers(len(words), size=count) for name, words in self.values.items()}

    def describe(self, attributes: Attributes, row: int) -> dict[str, str]:
        """Return one row of ``attributes`` in words."""
        values = self.values
        return {name: values[name][int(column[row])] for name, column in attributes.items()}

    def count_held_out(self, attributes: Attributes) -> np.ndarray:
        """Return how many held-out pairs each row of ``attributes`` has: (N,) int64."""
        values, count = self.values, len(next(iter(attributes.values())))
        found = np.zeros(count, dtype=np.int64)
        for (one, other), pairs in self.held_out_pairs.items():
            table = np.array([[(a, b) in pairs for b in values[other]] for a in values[one]])
            found += table[attributes[one], attributes[other]]
        return found

    def shows(self, name: str, attributes: Attributes) -> np.ndarray:
        """Return which pictures show the attribute ``name``: (N,) bool.

        All do, except for the accent, the colour of a part that some pictures do not have.
        """
        shown = np.ones(len(attributes[name]), dtype=bool)
        if name == "accent":
            part, bearers = self.grammar.accented
            bare = [index for index, word in enumerate(self.values[part]) if word not in bearers]
            shown = ~np.isin(attributes[part], bare)
        return shown

    def render(self, words: Mapping[str, str], size: int = 64) -> np.ndarray:
        """Draw what ``words`` (attribute -> value) describe: (size, size, 3) uint8.

        Raises:
            KeyError: An attribute is missing or has an unknown value.
        """
        options: dict[str, Any] = {"animationVariant": ["none"], **self.fixed}
        for name, (option, names) in self.attributes.items():
            variant = names[words[name]]
            if variant:
                options[option] = [variant]
            if "" in names.values():
                part = option.removesuffix("Variant")
                options[f"{part}Probability"] = 100 if variant else 0
        svg = Avatar(_load_style(self.name), options).to_json()["svg"]
        png = resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size, skip_system_fonts=True)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def draw_pairs(
    attributes: Mapping[str, tuple[str, Mapping[str, str]]], one: str, other: str, count: int
) -> frozenset[tuple[str, str]]:
    """Draw ``count`` pairs of values of two attributes, always the same."""
    pairs = [*product(attributes[one][1], attributes[other][1])]
    return frozenset(random.Random(0).sample(pairs, count))


@cache
def _load_style(name: str) -> Style:
    """Load a style, with every colour allowed for every part."""
    definition = json.loads(resources.files("dicebear_styles").joinpath(f"{name}.json").read_text())
    for color in definition["colors"].values():
        color.pop("notEqualTo", None)
    return Style(definition)
