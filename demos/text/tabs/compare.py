"""Compare: the same beginning and seed through two models, or through two settings."""

from __future__ import annotations

import html
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.generate import TextRequest, generate_text
from demos.text.presets import PRESETS
from demos.text.run import BUNDLED, estimate_seconds, generate_texts
from demos.text.story import Branch, Story, show_story
from demos.text.tabs.sampling_controls import SamplingControls
from demos.text.tabs.write import EXAMPLE_SEED, create_page, show_caption
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons, choose_model, create_slider
from shared.ui.events import QUICK, wire_generation
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "compare.json"
COOL = 0.3  # a temperature
INTRO = "One beginning and one seed, twice: change one thing and see what it alone does."


def create_compare(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))

    def compare(
        first: str, prompt: str, other: str, warmth: float, *values: Any
    ) -> Generator[Any, None, None]:
        settings = TextRequest.name_numbers(*values)
        left = TextRequest.parse(prompt=prompt, **settings)
        settings |= {"seed": left.seed, "temperature": warmth}
        right = TextRequest.parse(prompt=prompt, **settings)
        models = (first, other or first)
        pairs = list(zip(models, (left, right), strict=True))
        stories = [
            Story(prompt, key).grow(Branch(recipe=room.recipe(key, one))) for key, one in pairs
        ]
        engines = [room.engine(key).key for key in models]
        seconds = sum(estimate_seconds(request) for request in (left, right))
        for turn in room.run(generate_texts, engines, (left, right), seconds=seconds):
            if isinstance(turn, Waiting):
                yield turn
                continue
            number, step = turn
            stories[number] = stories[number].write(step, ())
            yield {
                pages[number]: show_story(stories[number], still=True),
                captions[number]: show_side("AB"[number], room, stories[number], pairs[number][1]),
                caption: f"seed {left.seed}",
                sampling.seed.used: left.seed,
                recipes: {side: one.branch.recipe for side, one in zip("AB", stories, strict=True)},
            }

    gr.HTML(f'<p class="part-text">{INTRO}</p>', padding=False)
    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(PRESETS[0].prompt, label="Your beginning", lines=3)
            buttons = RunButtons.create("Write both")
            other = choose_model(room.catalog, "text", label="Model B", none="The same model")
            warmth = create_slider(
                TextRequest, "temperature", step=0.05, label="Temperature of B", value=COOL
            )
            gr.HTML('<p class="part-text">For A, and all else for both:</p>', padding=False)
            sampling = SamplingControls.create()
        with columns.exhibit:
            with gr.Row(elem_classes="page-two"):
                pages, captions = [], []
                for side in "AB":
                    with gr.Column(min_width=240):
                        captions.append(gr.HTML(example[side]["caption"], **CAPTION))
                        pages.append(create_page(json.dumps(example[side]["page"])))
            caption = gr.HTML("Finished examples. Press Write both for new ones.", **CAPTION)
            with gr.Accordion("Recipes", open=False):
                recipes = gr.JSON(
                    {side: example[side]["page"]["recipe"] for side in "AB"}, show_label=False
                )
    # Of two models, nothing else is to differ.
    other.input(
        lambda other, warmth: COOL if not other else warmth,
        [other, sampling.sliders["temperature"]],
        warmth,
        **QUICK,
    )
    wire_generation(
        buttons,
        compare,
        [model, prompt, other, warmth, *sampling.inputs],
        [*pages, *captions, caption, sampling.seed.used, recipes],
        caption=caption,
        also=[prompt.submit],
    )


def show_side(side: str, room: Room, story: Story, request: TextRequest) -> str:
    """The line over one of the two pages."""
    line = show_caption(room.spec(story.model).title, story, request.seed)
    return f"<b>{side}</b> · {line} · temperature {html.escape(f'{request.temperature:g}')}"


def make_example(room: Room) -> None:
    """Write what the tab shows at first."""
    preset = PRESETS[0]
    boldly = TextRequest.parse(prompt=preset.prompt, seed=EXAMPLE_SEED, **preset.values)
    example = {}
    for side, warmth in (("A", boldly.temperature), ("B", COOL)):
        request = boldly.model_copy(update={"temperature": warmth})
        last = room.finish(generate_text, BUNDLED, request)
        begun = Story(preset.prompt, BUNDLED).grow(Branch(recipe=room.recipe(BUNDLED, request)))
        story = begun.write(last, ())
        example[side] = {
            "page": json.loads(show_story(story, still=True)),
            "caption": show_side(side, room, story, request),
        }
    EXAMPLE.write_text(json.dumps(example) + "\n", encoding="utf-8")
