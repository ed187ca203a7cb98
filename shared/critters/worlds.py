"""The worlds that image/critters draws: critters and plants in pots.

Both styles are CC0 1.0 (their authors waive their rights).

Of each part we keep the variants that differ visibly at 64 x 64 pixels and have a name of a word or
two. Colours are those of the critters, so that a word means the same in every world.
"""

from __future__ import annotations

from shared.critters.attributes import CRITTERS, EYES, MOUTHS
from shared.critters.colors import ACCENTS, BACKGROUNDS, COLORS
from shared.critters.vocabulary import GRAMMARS
from shared.critters.world import World, draw_pairs


def _pick(world: str, name: str, names: dict[str, str]) -> dict[str, str]:
    """Return those of ``names`` that are values of ``name`` in the grammar of ``world``."""
    grammar = GRAMMARS[world]
    return {word: names[word] for word in {**grammar.adjectives, **grammar.features}[name]}


_SPROUTS = {
    "color": ("potColor", COLORS),
    "pot": (
        "potVariant",
        {"square": "cylinder", "round": "round", "tapered": "tub", "rimmed": "rim"},
    ),
    "accent": ("bloomColor", _pick("sprouts", "accent", ACCENTS)),
    "plant": (
        "plantVariant",
        {
            "sprout": "sprout",
            "cactus": "cactus",
            "aloe": "succulent",
            "beanstalk": "tall",
            "palm": "palm",
            "grass": "grass",
            "flower": "flower",
            "tulip": "tulip",
            "buds": "buds",
        },
    ),
    "eyes": ("eyesVariant", _pick("sprouts", "eyes", EYES)),
    "mouth": ("mouthVariant", _pick("sprouts", "mouth", MOUTHS)),
    "background": ("backgroundColor", _pick("sprouts", "background", BACKGROUNDS)),
}
SPROUTS = World(
    name="sprouts",
    grammar=GRAMMARS["sprouts"],
    attributes=_SPROUTS,
    fixed={
        "seed": "sprout",
        "plantColor": [COLORS["green"]],
        "patternProbability": 0,
        "cheeksProbability": 0,
    },
    held_out_pairs={
        ("plant", "pot"): draw_pairs(_SPROUTS, "plant", "pot", 9),
        ("eyes", "mouth"): draw_pairs(_SPROUTS, "eyes", "mouth", 12),
    },
)
WORLDS: dict[str, World] = {world.name: world for world in (CRITTERS, SPROUTS)}
