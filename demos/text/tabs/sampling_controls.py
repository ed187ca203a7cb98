"""How boldly to write: the settings that the tabs Write, Chat and Compare share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos.text.generate import TextRequest
from shared.ui.controls import SeedControl, create_slider

SLIDERS: dict[str, dict[str, Any]] = {
    "temperature": {"step": 0.05, "info": "Low repeats what is likely, high takes risks"},
    "max_new_tokens": {"step": 1, "label": "Length in tokens"},
    "top_k": {"step": 1, "info": "Choose among this many likeliest tokens; 0 means all"},
    "top_p": {
        "step": 0.01,
        "info": "Choose among the likeliest tokens that together have this probability",
    },
    "min_p": {
        "step": 0.01,
        "info": "Leave out tokens with less than this share of the likeliest one's probability",
    },
    "repetition_penalty": {
        "step": 0.05,
        "info": "Above 1, what is in the text already becomes less likely",
    },
}
OPEN = ("temperature",)  # the others are in the fold


@dataclass(frozen=True)
class SamplingControls:
    """The numbers of a ``TextRequest``."""

    sliders: dict[str, gr.Slider]
    seed: SeedControl

    @classmethod
    def create(cls, last_seed: int = -1) -> SamplingControls:
        """Add them to the current column; ``last_seed`` is that of the example that is shown."""
        sliders = {name: create_slider(TextRequest, name, **SLIDERS[name]) for name in OPEN}
        with gr.Accordion("More settings", open=False):
            for name, options in SLIDERS.items():
                if name not in OPEN:
                    sliders[name] = create_slider(TextRequest, name, **options)
        return cls(sliders, SeedControl.create(last_seed))

    @property
    def inputs(self) -> list[Any]:
        """All of them as inputs of an event, in the order of ``TextRequest.name_numbers``."""
        components = {**self.sliders, "seed": self.seed.seed}
        return [components[name] for name in TextRequest.numbers()]
