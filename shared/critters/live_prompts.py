"""The twelve prompts of the samples of a live training of image/critters.

Each comes with the attributes that it names, as in ``attributes.VALUES``, so that a classifier can
count how many the pictures show. None has a held-out pair, which the bundled model has never seen:
it would score lower there. Standard library only, since the page uses it too.
"""

from __future__ import annotations

# The attributes in order; None if the prompt does not name one.
_ORDER = ("color", "body", "accent", "top", "eyes", "mouth", "background")
_PROMPTS: tuple[tuple[str | None, ...], ...] = (
    (
        "a red square monster with a yellow crown and a smile on a white background",
        *("red", "square", "yellow", "crown", None, "smile", "white"),
    ),
    (
        "a tall turquoise alien with white horns and three eyes on a black background",
        *("turquoise", "tall", "white", "horns", "three eyes", None, "black"),
    ),
    (
        "a bumpy green critter with one eye and two teeth on a sky blue background",
        *("green", "bumpy", None, None, "one eye", "two teeth", "sky blue"),
    ),
    (
        "a round purple creature with sleepy eyes and pink round ears on a peach background",
        *("purple", "domed", "pink", "round ears", "sleepy eyes", None, "peach"),
    ),
    (
        "a leaning orange beast with a blue spike and a tongue on a navy background",
        *("orange", "leaning", "blue", "spike", None, "tongue", "navy"),
    ),
    (
        "a stepped pink monster with green antennae and round eyes on a plum background",
        *("pink", "stepped", "green", "antennae", "round eyes", None, "plum"),
    ),
    (
        "a wide yellow critter with a green sprout and angry eyes on a maroon background",
        *("yellow", "wide", "green", "sprout", "angry eyes", None, "maroon"),
    ),
    (
        "a pointed grey alien with a white antenna and a zigzag mouth on a forest green background",
        *("grey", "pointed", "white", "antenna", None, "zigzag mouth", "forest green"),
    ),
    (
        "a bell-shaped blue beast with yellow pointy ears and winking eyes on a black background",
        *("blue", "bell-shaped", "yellow", "pointy ears", "winking eyes", None, "black"),
    ),
    (
        "a tapered brown monster with white spikes and a frown on a sky blue background",
        *("brown", "tapered", "white", "spikes", None, "frown", "sky blue"),
    ),
    (
        "a square green critter with four eyes and a grin on a white background",
        *("green", "square", None, None, "four eyes", "grin", "white"),
    ),
    (
        "a tall purple beast with a pink fin and closed eyes on a peach background",
        *("purple", "tall", "pink", "fin", "closed eyes", None, "peach"),
    ),
)
# Prompt -> attribute -> the value that it names.
PROMPTS: dict[str, dict[str, str]] = {
    str(text): {name: word for name, word in zip(_ORDER, words, strict=True) if word}
    for text, *words in _PROMPTS
}
