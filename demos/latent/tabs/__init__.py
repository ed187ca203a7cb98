"""The tabs of the latent-space room, in their order on the page."""

from __future__ import annotations

import gradio as gr

from demos.latent.models import list_datasets
from shared.room import Room


def choose_dataset(room: Room) -> gr.Dropdown:
    """Create a picker of the data set, visible if there is a choice."""
    names = list_datasets(room.catalog)
    return gr.Dropdown(names, value=names[0], label="Trained on", visible=len(names) > 1)
