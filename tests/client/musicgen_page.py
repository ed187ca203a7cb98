"""A page with nothing on it but the endpoint of MusicGen."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.music.musicgen import MusicGenRequest
from demos.music.tabs.musicgen import answer_musicgen
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.room import Room
from shared.serve import serve
from shared.ui.endpoints import add_endpoint

KEY = "music/musicgen-small"


def build_page(cache: ModelCache, catalog: Catalog) -> gr.Blocks:
    room = Room("music", cache, catalog)
    own = MusicGenRequest.numbers()
    numbers = {name: own[name] for name in ("duration", "temperature", "seed")}

    def answer(
        description: str, model: str, duration: float, temperature: float, seed: int
    ) -> tuple[str, None, dict[str, Any]]:
        """Make music."""
        return answer_musicgen(room, description, model, duration, temperature, seed)

    with gr.Blocks() as page:
        values = {"description": "a tune", "model": KEY, **numbers}
        outputs = [gr.File(visible=False), gr.File(visible=False), gr.JSON(visible=False)]
        add_endpoint("generate_music", answer, values, outputs)
    return page


if __name__ == "__main__":
    serve(build_page)
