"""The rooms of the gallery, in the order of their tabs. Nothing of a room is imported yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, Literal


@dataclass(frozen=True)
class Demo:
    """One room.

    Attributes:
        slug: Name of its package and the task of its models; chooses the accent colour.
        name: In the gallery's row of tabs.
        title: Over the room.
        wall_label: What one is looking at, in a few sentences.
        tabs: Titles of its tabs, each with the module in ``tabs`` that has ``create_<module>``.
        has_picker: Whether one picker of models serves all tabs.
    """

    slug: Literal["text", "image", "music", "latent"]
    name: str
    title: str
    wall_label: str
    tabs: Mapping[str, str]
    has_picker: bool = False

    @property
    def lesson(self) -> Path:
        """The text that explains how it works."""
        return Path(__file__).parent / self.slug / "lesson.md"

    def module(self, tab: str) -> ModuleType:
        """Import the module of the tab with this title."""
        return import_module(f"demos.{self.slug}.tabs.{self.tabs[tab]}")

    def create_tab(self, tab: str) -> Callable[..., None]:
        """Return the function that adds a tab's contents: of a room and, if any, the picker."""
        create: Callable[..., Any] = getattr(self.module(tab), f"create_{self.tabs[tab]}")
        return create


DEMOS: tuple[Demo, ...] = (
    Demo(
        slug="text",
        name="Text",
        title="One token after another",
        wall_label=(
            "A language model writes one token at a time: it reads all that stands there, gives "
            "every token in its vocabulary a probability, draws one, and begins again. It has no "
            "plan and checks no facts; it has only seen which words tend to follow which."
        ),
        tabs={
            "Write": "write",
            "Chat": "chat",
            "Compare": "compare",
            "Next token": "lab",
            "Surprise": "surprise",
            "Inside": "inside",
        },
        has_picker=True,
    ),
    Demo(
        slug="image",
        name="Images",
        title="From noise to a picture",
        wall_label=(
            "A diffusion model starts from pure noise and takes it away step by step, each time "
            "guessing what in front of it is noise and what could be the thing in your words. It "
            "works on a small, compressed picture, the latents, which a decoder turns into pixels. "
            "Nothing is looked up."
        ),
        tabs={
            "Draw": "draw",
            "Change": "change",
            "Compare": "compare",
            "Between": "between",
            "Parts": "parts",
            "Train one": "train",
        },
        has_picker=True,
    ),
    Demo(
        slug="music",
        name="Music",
        title="One note after another",
        wall_label=(
            "This model writes music as others write text: it draws one token after another, each "
            "saying when a note begins, how high it is or how long it lasts. It composes the "
            "melody, a plain rule finds the chords, and an ordinary synthesizer plays what is "
            "written."
        ),
        tabs={"Compose": "compose", "MusicGen": "musicgen"},
    ),
    Demo(
        slug="latent",
        name="Latent space",
        title="The same numbers, twice",
        wall_label=(
            "The same network, taught twice. It turns 64 random numbers into a picture. The left "
            "one learned by squeezing pictures and redrawing them (a VAE); the right one began as "
            "its copy and then learned to fool a critic (a GAN). Same numbers, same training "
            "pictures, another teacher."
        ),
        tabs={
            "Explore": "explore",
            "Walk": "walk",
            "Reconstruct": "reconstruct",
            "Compare": "compare",
            "Bias": "bias",
            "Playground": "playground",
            "Train one": "train",
        },
    ),
)
