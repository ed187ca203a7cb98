"""The text room's page. Run it alone with ``python -m demos.text.ui``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import gradio as gr

from demos.text.room import TextRoom
from demos.text.tabs import chat, compare, inside, lab, surprise, write
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import choose_model, create_hall

HERE = Path(__file__).parent
WALL_LABEL = (
    "A language model writes one token at a time: it reads all that stands there, gives every "
    "token in its vocabulary a probability, draws one, and begins again. It has no plan and "
    "checks no facts; it has only seen which words tend to follow which."
)
TABS: dict[str, Callable[[TextRoom, gr.Dropdown], None]] = {
    "Write": write.create_write,
    "Chat": chat.create_chat,
    "Compare": compare.create_compare,
    "Next token": lab.create_lab,
    "Surprise": surprise.create_surprise,
    "Inside": inside.create_inside,
}


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the text room."""
    room = TextRoom(cache, settings, Catalog(settings))
    with (
        gr.Blocks(title="Text · Generative Gallery") as demo,
        create_hall("text", "One token after another", WALL_LABEL, HERE / "lesson.md"),
    ):
        model = choose_model(room.catalog, "text")
        with gr.Tabs(elem_classes="wings", overflow_behavior="wrap"):
            for title, create_tab in TABS.items():
                with gr.Tab(title):
                    create_tab(room, model)
    return demo


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write what the tabs show on the first visit."""
    for tab in (write, chat, compare, lab, surprise, inside):
        tab.make_example(cache, settings)


if __name__ == "__main__":
    run_alone(create_demo)
