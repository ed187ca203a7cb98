"""The rooms of the gallery, in the order of their tabs."""

from __future__ import annotations

from dataclasses import dataclass

from demos.image.ui import create_demo as create_image_demo
from demos.latent.ui import create_demo as create_latent_demo
from demos.music.ui import create_demo as create_music_demo
from demos.text.ui import create_demo as create_text_demo
from shared.ui import CreateDemo


@dataclass(frozen=True)
class Demo:
    """One tab: its slug in addresses and styles, its title, and what builds it."""

    slug: str
    title: str
    create_demo: CreateDemo


DEMOS: tuple[Demo, ...] = (
    Demo("text", "Text", create_text_demo),
    Demo("image", "Images", create_image_demo),
    Demo("music", "Music", create_music_demo),
    Demo("latent", "Latent space", create_latent_demo),
)
