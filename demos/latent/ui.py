"""The latent-space room's page. Run it alone with ``python -m demos.latent.ui``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demos.latent.room import LatentRoom
from demos.latent.tabs import bias, compare, explore, playground, reconstruct, train, walk
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import create_hall

HERE = Path(__file__).parent
WALL_LABEL = (
    "The same network, taught twice. It turns 64 random numbers into a picture. The left one "
    "learned by squeezing pictures and redrawing them (a VAE); the right one began as its copy and "
    "then learned to fool a critic (a GAN). Same numbers, same training pictures, another teacher."
)
TABS: dict[str, Callable[[LatentRoom], None]] = {
    "Explore": explore.create_explore,
    "Walk": walk.create_walk,
    "Reconstruct": reconstruct.create_reconstruct,
    "Compare": compare.create_compare,
    "Bias": bias.create_bias,
    "Playground": playground.create_playground,
    "Train one": train.create_train,
}


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the latent-space room."""
    room = LatentRoom(cache, settings, Catalog(settings))
    with (
        gr.Blocks(title="Latent space · Generative Gallery") as demo,
        create_hall("latent", "The same numbers, twice", WALL_LABEL, HERE / "lesson.md"),
        gr.Tabs(elem_classes="wings", overflow_behavior="wrap"),
    ):
        for title, create_tab in TABS.items():
            with gr.Tab(title):
                create_tab(room)
    return demo


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write what the tabs show on the first visit."""
    for tab in (explore, compare, bias):
        tab.make_example(cache, settings)


if __name__ == "__main__":
    run_alone(create_demo)
