"""The music room's page. Run it alone with ``python -m demos.music.ui``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demos.music.room import MusicRoom
from demos.music.tabs import compose, musicgen
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import create_hall

HERE = Path(__file__).parent
WALL_LABEL = (
    "This model writes music as others write text: it draws one token after another, each saying "
    "when a note begins, how high it is or how long it lasts. It composes the melody, a plain rule "
    "finds the chords, and an ordinary synthesizer plays what is written."
)
TABS: dict[str, Callable[[MusicRoom], None]] = {
    "Compose": compose.create_compose,
    "MusicGen": musicgen.create_musicgen,
}


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the music room."""
    room = MusicRoom(cache, settings, Catalog(settings))
    with (
        gr.Blocks(title="Music · Generative Gallery") as demo,
        create_hall("music", "One note after another", WALL_LABEL, HERE / "lesson.md"),
        gr.Tabs(elem_classes="wings", overflow_behavior="wrap"),
    ):
        for title, create_tab in TABS.items():
            with gr.Tab(title):
                create_tab(room)
    return demo


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write what the tabs show on the first visit."""
    compose.make_example(cache, settings)


if __name__ == "__main__":
    run_alone(create_demo)
