"""Colours, fonts and style sheet of the gallery."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

CSS_PATH = Path(__file__).parents[1] / "gallery.css"
_SANS = ["ui-sans-serif", "system-ui", "Segoe UI", "Helvetica Neue", "Arial", "sans-serif"]
_MONO = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]


def create_theme() -> gr.themes.Base:
    """Make the gallery's theme with system fonts; each room sets its own accent colour."""
    return gr.themes.Base(neutral_hue="stone", radius_size="md", font=_SANS, font_mono=_MONO).set(
        body_background_fill="#f7f5f0",
        body_background_fill_dark="#161514",
        body_text_color="#1f1d1a",
        body_text_color_dark="#ece9e2",
        body_text_color_subdued="#5d5850",
        body_text_color_subdued_dark="#aaa49a",
        background_fill_primary="#ffffff",
        background_fill_primary_dark="#1f1e1c",
        background_fill_secondary="#f1eee7",
        background_fill_secondary_dark="#262422",
        block_background_fill="#ffffff",
        block_background_fill_dark="#1f1e1c",
        block_border_color="#e2ddd2",
        block_border_color_dark="#383531",
        border_color_primary="#e2ddd2",
        border_color_primary_dark="#383531",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        input_background_fill="#fbfaf7",
        input_background_fill_dark="#181716",
    )
