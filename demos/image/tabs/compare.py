"""Compare: one seed across guidance, steps or schedulers, in a grid that fills."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.image.builder import ask_for
from demos.image.compare import (
    MOST_COLUMNS,
    MOST_VALUES,
    CompareRequest,
    compare_images,
    read_values,
)
from demos.image.noise import SCHEDULERS
from demos.image.run import BUNDLED
from demos.image.show import name_file
from demos.image.show_compare import draw_sheet, show_grid, show_progress
from demos.image.tabs.diffusion_controls import DiffusionControls
from demos.image.tabs.draw import PROMPT
from shared.critters.vocabulary import read_worlds
from shared.recipe_files import save_png
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import QUICK, wire_generation
from shared.ui.files import new_file, offer_download
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "compare.html"
EXAMPLE_SEED = 3
KINDS = {
    "guidance_scale": "Guidance",
    "num_inference_steps": "Steps",
    "scheduler": "Schedulers, in a race",
}
# What a visitor finds in the field of values: of a quick model, and of a large one.
VALUES = {
    "guidance_scale": ("1, 2, 3, 5, 8, 12", "1, 2, 4, 8"),
    "num_inference_steps": ("1, 2, 4, 8, 16, 32", "1, 2, 4"),
    "scheduler": ("2, 4, 8, 16", "1, 2, 4"),
}
WHY = {
    "guidance_scale": (
        "At each step the network guesses twice, with your words and without, and guidance says "
        "how far to go from the one guess towards the other and beyond. Up to 1 there is no "
        "guidance at all: the network guesses once, with your words, and easily overlooks some. "
        "Too much, and colours glare, shapes break, and other seeds bring nearly the same picture."
    ),
    "num_inference_steps": (
        "A step takes away part of the noise. In one single step the network would have to name "
        "the picture at once, and its best guess is the average of all that fit: it looks blurred. "
        "With more steps each guess is a smaller one, made from a clearer view; soon more of them "
        "cost time and change little. Some models, such as SD Turbo, were trained to need few."
    ),
    "scheduler": (
        "The network only says in which direction the picture lies; the scheduler decides how far "
        "to walk before asking again. These three take the same road, without dice on the way. "
        "DDIM and Euler go straight ahead from stop to stop, and are nearly the same thing written "
        "in two ways; DPM-Solver++ also looks at where it pointed last time, and takes the bend. "
        "With many steps all arrive near one place; the race is who is near it with few. Do not "
        "expect a clear winner with a model this small: it settles early, whoever leads the way."
    ),
}


def create_compare(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def compare(
        model: str,
        prompt: str,
        vary: str,
        guidances: str,
        numbers: str,
        race_numbers: str,
        schedulers: list[str],
        finish: bool,
        *settings: Any,
    ) -> Generator[Any, None, None]:
        fields = dict(zip(KINDS, (guidances, numbers, race_numbers), strict=True))
        request = CompareRequest.parse(
            prompt=prompt,
            vary=vary,
            values=read_values(fields.get(vary, "")),
            schedulers=schedulers,
            finish=finish,
            **DiffusionControls.name(*settings),
        )
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        none = gr.DownloadButton("Download the grid", value=None, interactive=False)
        last = None
        # The grid is sent whole, so a few times a second is enough.
        seconds = estimate_seconds(request)
        for step in room.run(compare_images, model, request, seconds=seconds, every=0.2):
            if isinstance(step, Waiting):
                yield step
                continue
            last = step
            yield show_grid(last), show_progress(last), none, request.seed, recipe
        if last:
            path = new_file(name_file(spec, request.seed, "comparison") + ".png")
            save_png(draw_sheet(last, f"{spec.title}, seed {request.seed}: {prompt}"), path, recipe)
            yield (
                show_grid(last),
                show_progress(last),
                offer_download("Download the grid", path),
                request.seed,
                recipe,
            )

    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(
                PROMPT,
                label=ask_for(read_worlds(room.settings.models_dir / "image-critters")),
                lines=2,
                max_length=1000,
            )
            buttons = RunButtons.create("Compare")
            vary = gr.Radio(
                [(label, kind) for kind, label in KINDS.items()],
                value="guidance_scale",
                label="What differs from picture to picture",
            )
            values = [create_values(kind) for kind in KINDS]
            with gr.Column(visible=False) as race:
                schedulers = gr.CheckboxGroup(
                    [(label, name) for name, label in SCHEDULERS.items()],
                    value=list(SCHEDULERS),
                    label="Who races",
                    info="What does not suit the model is left out",
                )
                finish = gr.Checkbox(
                    True,
                    label="Draw the finish first",
                    info="50 steps, with which all others are compared",
                )
            controls = DiffusionControls.create("What stays the same", guidance=False)
            why = gr.HTML(WHY["guidance_scale"], **CAPTION)
        with columns.exhibit:
            grid = gr.HTML(read_example(), elem_classes="comparison")
            caption = gr.HTML(
                f"A finished example: “{PROMPT}”, seed {EXAMPLE_SEED}. Press Compare for a new "
                "one.",
                **CAPTION,
            )
            sheet = gr.DownloadButton("Download the grid", interactive=False, size="sm")
    with gr.Accordion("Look inside", open=False):
        recipe = gr.JSON(label="Recipe: the same recipe gives the same pictures")
    wire_generation(
        buttons,
        compare,
        [model, prompt, vary, *values, schedulers, finish, *controls.inputs],
        [grid, caption, sheet, controls.seed.used, recipe],
        caption=caption,
        also=[prompt.submit, *(field.submit for field in values)],
    )

    def choose_kind(chosen: str) -> list[Any]:
        return [
            *(gr.Textbox(visible=kind == chosen) for kind in KINDS),
            gr.Column(visible=chosen == "scheduler"),
            gr.Slider(visible=chosen == "guidance_scale"),
            gr.Slider(visible=chosen != "guidance_scale"),
            gr.Dropdown(visible=chosen != "scheduler"),
            WHY[chosen],
        ]

    def apply_defaults(model: str) -> list[Any]:
        spec = room.spec(model)
        return [
            *(VALUES[kind][not spec.bundled] for kind in KINDS),
            spec.bundled,  # a finish takes too long with a large model
            *controls.defaults_for(spec),
        ]

    fixed = [controls.steps, controls.guidance, controls.scheduler]
    vary.change(choose_kind, vary, [*values, race, *fixed, why], **QUICK)
    model.change(
        apply_defaults, model, [*values, finish, controls.steps, controls.guidance], **QUICK
    )


def create_values(kind: str) -> gr.Textbox:
    """Add the field for the values of one kind of comparison."""
    label = "Values of guidance" if kind == "guidance_scale" else "Numbers of steps"
    most = MOST_COLUMNS if kind == "scheduler" else MOST_VALUES
    return gr.Textbox(
        VALUES[kind][0],
        label=label,
        info=f"At most {most} of them, with commas between",
        max_lines=1,
        visible=kind == "guidance_scale",
    )


def estimate_seconds(request: CompareRequest) -> float:
    """How long a graphics card needs for all pictures."""
    if request.vary == "guidance_scale":
        return 5 + len(request.values) * request.num_inference_steps / 4
    rows = len(request.schedulers) if request.vary == "scheduler" else 1
    return 5 + rows * sum(request.values) / 4 + 13 * request.finish


def read_example() -> str:
    """The grid of the first visit, or a hint where there is none."""
    if EXAMPLE.is_file():
        return EXAMPLE.read_text(encoding="utf-8")
    return '<p class="nothing-yet">Press Compare, and the pictures appear here one by one.</p>'


def make_example(room: Room) -> None:
    """Write the grid of the first visit."""
    request = CompareRequest.parse(
        prompt=PROMPT, values=read_values(VALUES["guidance_scale"][0]), seed=EXAMPLE_SEED
    )
    last = room.finish(compare_images, BUNDLED, request)
    EXAMPLE.parent.mkdir(exist_ok=True)
    EXAMPLE.write_text(show_grid(last) + "\n", encoding="utf-8")
