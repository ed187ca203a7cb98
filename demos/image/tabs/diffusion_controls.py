"""How to draw: the settings that the tabs Draw, Change, Compare and Between share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr

from demos.image.generate import MAX_PROMPT, DiffusionRequest
from demos.image.noise import OWN, SCHEDULERS
from shared.catalog import ModelSpec
from shared.ui.controls import SeedControl, create_slider

NAMES = ("num_inference_steps", "guidance_scale", "negative_prompt", "scheduler", "seed")


@dataclass(frozen=True)
class DiffusionControls:
    """The settings of a ``DiffusionRequest`` but for the words; ``more`` is the fold in them."""

    steps: gr.Slider
    guidance: gr.Slider
    negative_prompt: gr.Textbox
    scheduler: gr.Dropdown
    seed: SeedControl
    more: gr.Accordion

    @classmethod
    def create(
        cls, fold: str = "More settings", *, open_sliders: bool = False, guidance: bool = True
    ) -> DiffusionControls:
        """Add them to the current column.

        Args:
            fold: Title of the fold.
            open_sliders: Whether steps and guidance are before the fold instead of in it.
            guidance: Whether the slider of guidance can be seen to begin with.
        """
        sliders = _create_sliders(guidance) if open_sliders else None
        with gr.Accordion(fold, open=False) as more:
            steps, push = sliders or _create_sliders(guidance)
            negative = gr.Textbox(
                "",
                label="Keep out (negative prompt)",
                info="What the picture should not show; works with guidance above 1",
                max_length=MAX_PROMPT,
            )
            scheduler = gr.Dropdown(
                [(title, name) for name, title in SCHEDULERS.items()],
                value=OWN,
                label="Scheduler",
                info="The recipe by which noise is taken away",
            )
        return cls(steps, push, negative, scheduler, SeedControl.create(), more)

    @property
    def inputs(self) -> list[Any]:
        """All of them as inputs of an event, in the order of ``name``."""
        return [self.steps, self.guidance, self.negative_prompt, self.scheduler, self.seed.seed]

    @staticmethod
    def name(*values: Any) -> dict[str, Any]:
        """Name the values of ``inputs`` as a request does."""
        return dict(zip(NAMES, values, strict=True))

    @staticmethod
    def defaults_for(spec: ModelSpec) -> tuple[int, float]:
        """Return the steps and the guidance that a model works best with."""
        own = DiffusionRequest.numbers() | dict(spec.defaults)
        return int(own["num_inference_steps"]), float(own["guidance_scale"])


def _create_sliders(show_guidance: bool) -> tuple[gr.Slider, gr.Slider]:
    steps = create_slider(
        DiffusionRequest,
        "num_inference_steps",
        step=1,
        label="Steps",
        info="More steps take longer and remove the noise more carefully",
    )
    guidance = create_slider(
        DiffusionRequest,
        "guidance_scale",
        step=0.5,
        label="Guidance",
        info="How hard each step is pushed towards the words; from 0 to 1 there is no guidance at "
        "all",
        visible=show_guidance,
    )
    return steps, guidance
