"""The Generative Gallery: builds the page, mounts the rooms, launches. Run ``python app.py``."""

from __future__ import annotations

import gradio as gr

from demos import DEMOS
from shared.model_cache import ModelCache
from shared.settings import Settings
from shared.ui import add_catalog_endpoints, create_cache, launch

# Seconds between sweeps of what visitors made, and how old it may get.
CACHE_SWEEP = (3600, 86_400)
HEADLINE = """
<h1>Generative Gallery</h1>
<p>Machines that make things, and how they do it. Everything here runs on this computer.</p>
"""


def build_app(settings: Settings, cache: ModelCache) -> gr.Blocks:
    """Build the page with one tab per room, all on ``cache``."""
    with gr.Blocks(title="Generative Gallery", delete_cache=CACHE_SWEEP) as app:
        gr.HTML(HEADLINE, elem_classes="gallery-head", padding=False)
        with gr.Tabs():
            for demo in DEMOS:
                with gr.Tab(demo.title, id=demo.slug):
                    demo.create_demo(cache, settings)
        add_catalog_endpoints(cache, settings)
    return app


def main() -> None:
    """Launch the gallery with the settings of the environment."""
    settings = Settings.from_environment()
    launch(build_app(settings, create_cache(settings)), settings)


if __name__ == "__main__":
    main()
