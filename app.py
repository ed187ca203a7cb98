"""The Generative Gallery: builds the page, mounts the rooms, launches. Run ``python app.py``."""

from __future__ import annotations

import gradio as gr

from demos import DEMOS
from shared.cache_panel import create_cache_panel
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.serve import add_catalog_endpoints, serve
from shared.settings import Settings

HEADLINE = """
<h1>Generative Gallery</h1>
<p>Machines that make things, and how they do it. Everything here runs on this computer.</p>
"""


def build_app(settings: Settings, cache: ModelCache) -> gr.Blocks:
    """Build the page with one tab per room, all on ``cache``."""
    with gr.Blocks(title="Generative Gallery") as app:
        with gr.Row(elem_classes="gallery-top"):
            gr.HTML(HEADLINE, elem_classes="gallery-head", padding=False)
            create_cache_panel(cache, Catalog(settings))
        with gr.Tabs():
            for demo in DEMOS:
                with gr.Tab(demo.title, id=demo.slug):
                    demo.create_demo(cache, settings)
        add_catalog_endpoints(cache, settings)
    return app


def main() -> None:
    """Launch the gallery with the settings of the environment."""
    serve(build_app)


if __name__ == "__main__":
    main()
