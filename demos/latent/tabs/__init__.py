"""The tabs of the latent-space room, in the order in which they stand."""

from __future__ import annotations

import gradio as gr

from demos.latent.room import LatentRoom


def choose_dataset(room: LatentRoom) -> gr.Dropdown:
    """A picker of what the models were trained on, shown where there is a choice."""
    names = room.datasets
    return gr.Dropdown(names, value=names[0], label="Trained on", visible=len(names) > 1)
