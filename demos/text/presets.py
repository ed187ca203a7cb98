"""Uses of a language model that people know, each with a beginning and settings that suit it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

OWN = "Storyteller, which comes with the gallery, knows fairy tales and poems."
ASSISTANT = "Storyteller never saw such texts; the bigger models did."


@dataclass(frozen=True)
class Preset:
    """A use: what it is called, a note on it, how it begins, and values of a ``TextRequest``."""

    title: str
    note: str
    prompt: str
    values: dict[str, Any] = field(default_factory=dict)


PRESETS = (
    Preset(
        "A story",
        OWN,
        "Once upon a time there was a little fox who",
        {"temperature": 0.8, "top_p": 0.95, "max_new_tokens": 160},
    ),
    Preset(
        "A poem",
        OWN,
        "The Owl and the Moon\n\nThe owl looked up at the silver moon,\n",
        {"temperature": 0.9, "top_p": 0.95, "max_new_tokens": 120},
    ),
    Preset(
        "A game character and a storyline",
        OWN,
        "The hero of our game is a brave young miller's daughter named Rosalind. In the first "
        'chapter she enters the dark forest, where an old witch tells her:\n\n"',
        {"temperature": 0.9, "top_p": 0.95, "max_new_tokens": 160},
    ),
    Preset(
        "An article",
        ASSISTANT,
        "Why do leaves change colour in autumn?\n\nEvery autumn, the leaves of many trees",
        {"temperature": 0.6, "top_p": 0.9, "max_new_tokens": 200},
    ),
    Preset(
        "Program code",
        ASSISTANT,
        'def is_palindrome(text: str) -> bool:\n    """Whether it reads the same backwards."""\n',
        {"temperature": 0.2, "top_p": 0.95, "max_new_tokens": 100},
    ),
    Preset(
        "A slogan for a customer",
        f"Put your own customer's name in. {ASSISTANT}",
        "Slogans for our customers.\n\nBicycle shop Two Wheels: Your next trip begins here.\n"
        "Bakery Golden Crust:",
        {"temperature": 0.9, "top_p": 0.9, "max_new_tokens": 24},
    ),
)
