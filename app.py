"""The Generative Gallery: builds the page with its rooms and launches it.

    python app.py [text image music latent]

Without names, it has all rooms.
"""

from __future__ import annotations

import gc
import sys

if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit("The gallery runs on Python 3.11, 3.12 or 3.13. Start it with one of these.")
if __name__ == "__main__":
    # Nearly everything made during the start stays, and garbage collection would take a seventh of
    # that time. ``serve`` enables it again.
    gc.disable()

import argparse
from collections.abc import Sequence
from functools import partial

import gradio as gr

from demos import DEMOS, Demo
from demos.page import create_demo
from shared.cache_panel import create_cache_panel
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.room import Room
from shared.serve import add_catalog_endpoints, serve
from shared.turns import Turns

HEADLINE = """
<h1>Generative Gallery</h1>
<p>Machines that make things, and how they do it. Everything here runs on this computer.</p>
"""


def build_app(cache: ModelCache, catalog: Catalog, demos: Sequence[Demo] = DEMOS) -> gr.Blocks:
    """Build the page with one tab per room, all on ``cache``."""
    turns = Turns()
    with gr.Blocks(title="Generative Gallery") as app:
        with gr.Row(elem_classes="gallery-top"):
            gr.HTML(HEADLINE, elem_classes="gallery-head", padding=False)
            create_cache_panel(cache, catalog)
        with gr.Tabs():
            for demo in demos:
                with gr.Tab(demo.name, id=demo.slug):
                    create_demo(demo, Room(demo.slug, cache, catalog, turns))
        add_catalog_endpoints(cache, catalog)
    return app


def main() -> None:
    """Launch the gallery with the settings of the environment."""
    parser = argparse.ArgumentParser(description="The Generative Gallery.")
    rooms = {demo.slug: demo for demo in DEMOS}
    parser.add_argument("rooms", nargs="*", metavar="room", help=f"only these: {', '.join(rooms)}")
    names = parser.parse_args().rooms
    if unknown := [name for name in names if name not in rooms]:
        parser.error(f"There is no room {unknown[0]!r}. There are: {', '.join(rooms)}.")
    serve(partial(build_app, demos=[rooms[name] for name in names] or DEMOS))


if __name__ == "__main__":
    main()
