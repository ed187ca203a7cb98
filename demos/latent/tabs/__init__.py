"""The tabs of the latent-space room, in the order in which they stand."""

from __future__ import annotations

import gradio as gr

from demos.latent.models import list_datasets
from shared.room import Room


def choose_dataset(room: Room) -> gr.Dropdown:
    """A picker of what the models were trained on, shown where there is a choice."""
    names = list_datasets(room.catalog)
    return gr.Dropdown(names, value=names[0], label="Trained on", visible=len(names) > 1)
