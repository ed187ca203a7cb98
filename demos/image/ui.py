"""The image room's page. Run it alone with ``python -m demos.image.ui``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demos.image.room import ImageRoom
from demos.image.tabs import between, change, compare, draw, parts, train
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import choose_model, create_hall

HERE = Path(__file__).parent
WALL_LABEL = (
    "A diffusion model starts from pure noise and takes it away step by step, each time guessing "
    "what in front of it is noise and what could be the thing in your words. It works on a small, "
    "compressed picture, the latents, which a decoder turns into pixels. Nothing is looked up."
)
TABS: dict[str, Callable[[ImageRoom, gr.Dropdown], None]] = {
    "Draw": draw.create_draw,
    "Change": change.create_change,
    "Compare": compare.create_compare,
    "Between": between.create_between,
    "Parts": parts.create_parts,
    "Train one": train.create_train,
}


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the image room."""
    room = ImageRoom(cache, settings, Catalog(settings))
    with (
        gr.Blocks(title="Image · Generative Gallery") as demo,
        create_hall("image", "From noise to a picture", WALL_LABEL, HERE / "lesson.md"),
    ):
        model = choose_model(room.catalog, "image")
        with gr.Tabs(elem_classes="wings", overflow_behavior="wrap"):
            for title, create_tab in TABS.items():
                with gr.Tab(title):
                    create_tab(room, model)
    return demo


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write what the tabs show on the first visit."""
    for tab in (draw, change, compare, between):
        tab.make_example(cache, settings)


if __name__ == "__main__":
    run_alone(create_demo)
