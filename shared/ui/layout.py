"""The layout of a tab: controls beside the exhibit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

# Options of the line of text under an exhibit or a button.
CAPTION: dict[str, Any] = {"elem_classes": "caption", "padding": False}


@dataclass(frozen=True)
class TabColumns:
    """The two columns of a tab: ``with columns.controls: ...``."""

    controls: gr.Column
    exhibit: gr.Column


@contextlib.contextmanager
def tab_columns() -> Iterator[TabColumns]:
    """Lay out controls beside the exhibit, which comes first on a narrow screen."""
    with gr.Row(elem_classes="tab-columns"):
        controls = gr.Column(scale=4, min_width=300, elem_classes="controls")
        exhibit = gr.Column(scale=7, min_width=300, elem_classes="exhibit")
    yield TabColumns(controls, exhibit)
