"""The rooms of the gallery, in the order of their tabs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.serve import CreateDemo


@dataclass(frozen=True)
class Demo:
    """One tab: its slug, which is also the name of its package, and its title."""

    slug: str
    title: str

    @property
    def create_demo(self) -> CreateDemo:
        """What builds the room. Imported when asked for, so that a room can also run alone."""
        create: CreateDemo = import_module(f"demos.{self.slug}.ui").create_demo
        return create


DEMOS: tuple[Demo, ...] = (
    Demo("text", "Text"),
    Demo("image", "Images"),
    Demo("music", "Music"),
    Demo("latent", "Latent space"),
)
