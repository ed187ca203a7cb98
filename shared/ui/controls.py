"""Controls that several rooms share: model picker, sliders, buttons, seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Number

from shared.catalog import Catalog, ModelSpec, Task
from shared.requests import Request
from shared.ui.layout import CAPTION


def choose_model(
    catalog: Catalog,
    task: Task,
    label: str = "Model",
    none: str = "",
    keep: Callable[[ModelSpec], bool] = lambda spec: True,
) -> gr.Dropdown:
    """Create a picker of the room's models; its value is a key, at first that of a bundled model.

    ``none`` is the label of an additional first choice with the value "". ``keep`` filters models.
    """
    specs = [spec for spec in catalog.for_task(task) if keep(spec)]
    choices = [(none, "")] if none else []
    for spec in specs:
        missing = catalog.download_bytes(spec.key)
        size = f"{missing / 1e9:.1f} GB" if missing >= 1e9 else f"{missing / 1e6:.0f} MB"
        note = f" (not here yet: {size} download)" if missing else ""
        choices.append((spec.title + note, spec.key))
    chosen = "" if none else specs[0].key
    return gr.Dropdown(choices, value=chosen, label=label, elem_classes="model")


def _clamp(slider: gr.Slider, payload: float | None) -> float | None:
    """Clamp a number typed beside a slider to its range, as the page does a moment later."""
    value = slider.minimum if payload is None else payload
    return Number.round_to_precision(
        min(max(value, slider.minimum), slider.maximum), slider.precision
    )


# Gradio's own raises while a number is being typed, such as the "9" of "90", or an empty field. A
# subclass would make Gradio write a .pyi file beside this one.
gr.Slider.preprocess = _clamp  # type: ignore[method-assign,assignment]


def create_slider(request: type[Request], name: str, *, step: float, **options: Any) -> gr.Slider:
    """Create a slider with the range and default of field ``name`` of ``request``."""
    minimum, maximum, default = request.limits(name)
    label = options.pop("label", name.replace("_", " ").capitalize())
    value = options.pop("value", default)
    return gr.Slider(minimum, maximum, value, step=step, label=label, **options)


@dataclass(frozen=True)
class RunButtons:
    """A tab's main button, the Stop that replaces it, and the line that says what it waits for."""

    run: gr.Button
    stop: gr.Button
    waiting: gr.HTML

    @classmethod
    def create(cls, label: str) -> RunButtons:
        """Add them to the current block."""
        run = gr.Button(label, variant="primary", size="lg")
        stop = gr.Button("Stop", variant="stop", size="lg", visible=False, elem_classes="stop")
        return cls(run, stop, gr.HTML("", **CAPTION))


@dataclass(frozen=True)
class SeedControl:
    """A seed field, and the button that copies the last seed into it."""

    seed: gr.Number
    used: gr.State
    reuse: gr.Button

    @classmethod
    def create(cls, last: int = -1) -> SeedControl:
        """Add both to the current block; ``last`` is the seed of the example that is shown."""
        with gr.Row(elem_classes="seed-row", equal_height=True):
            seed = gr.Number(-1, label="Seed", info="-1 draws a new one", min_width=110)
            reuse = gr.Button("Keep last seed", size="sm", min_width=110)
        used = gr.State(last)
        reuse.click(lambda last: last, used, seed, queue=False, api_visibility="private")
        return cls(seed, used, reuse)
