"""Compare: the same beginning and seed through two models, or through two settings."""

from __future__ import annotations

import html
from collections.abc import Generator
from typing import Any

import gradio as gr

from demos.text.generate import MAX_PROMPT, TextRequest
from demos.text.presets import PRESETS
from demos.text.room import TextRoom
from demos.text.story import Branch, Story, show_story
from demos.text.tabs.how import QUICK, TOGETHER, HowControl
from demos.text.tabs.stream import create_streams
from demos.text.tabs.write import create_page, load_example, show_caption
from shared.ui import CAPTION, RunButtons, choose_model, create_slider, wake, wire_generation

INTRO = "One beginning and one seed, twice: change one thing and see what it alone does."


def create_compare(room: TextRoom, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""
    stream = create_streams(room)
    example = load_example()

    def compare(
        first: str, prompt: str, other: str, warmth: float, *values: Any
    ) -> Generator[Any, None, None]:
        settings = TextRequest.name_numbers(*values)
        left = TextRequest.parse(prompt=prompt, **settings)
        settings |= {"seed": left.seed, "temperature": warmth}
        right = TextRequest.parse(prompt=prompt, **settings)
        models = (first, other or first)
        yield from wake(room.cache, *(room.writing_spec(key) for key in models))
        pairs = list(zip(models, (left, right), strict=True))
        stories = [
            Story(prompt, key).grow(Branch(recipe=room.recipe(key, one))) for key, one in pairs
        ]
        for number, step in stream(*pairs):
            stories[number] = stories[number].write(step, ())
            yield {
                pages[number]: show_story(stories[number]),
                captions[number]: show_side("AB"[number], room, stories[number], pairs[number][1]),
                caption: f"seed {left.seed}",
                how.seed.used: left.seed,
                recipes: {side: one.branch.recipe for side, one in zip("AB", stories, strict=True)},
            }

    gr.HTML(f'<p class="part-text">{INTRO}</p>', padding=False)
    with gr.Row(elem_classes="floor"):
        with gr.Column(scale=4, min_width=300, elem_classes="controls"):
            prompt = gr.Textbox(
                PRESETS[0].prompt, label="Your beginning", lines=3, max_length=MAX_PROMPT
            )
            buttons = RunButtons.create("Write both")
            other = choose_model(room.catalog, "text", label="Model B", none="The same model")
            warmth = create_slider(
                TextRequest, "temperature", step=0.05, label="Temperature of B", value=0.3
            )
            gr.HTML('<p class="part-text">For A, and all else for both:</p>', padding=False)
            how = HowControl.create()
        with gr.Column(scale=7, min_width=300, elem_classes="exhibit"):
            with gr.Row(elem_classes="page-two"):
                pages, captions = [], []
                for side in "AB":
                    with gr.Column(min_width=240):
                        captions.append(gr.HTML(f"<b>{side}</b>", **CAPTION))
                        pages.append(create_page(example["page"] if side == "A" else None))
            caption = gr.HTML("A finished text. Press Write both for two new ones.", **CAPTION)
            with gr.Accordion("Recipes", open=False):
                recipes = gr.JSON({"A": example["recipe"]}, show_label=False)
    # Of two models, nothing else is to differ.
    other.input(
        lambda other, warmth: 0.3 if not other else warmth,
        [other, how.sliders["temperature"]],
        warmth,
        **QUICK,
    )
    wire_generation(
        buttons,
        compare,
        [model, prompt, other, warmth, *how.inputs],
        [*pages, *captions, caption, how.seed.used, recipes],
        caption=caption,
        also=[prompt.submit],
        together=TOGETHER,
    )


def show_side(side: str, room: TextRoom, story: Story, request: TextRequest) -> str:
    """The line over one of the two pages."""
    line = show_caption(room.spec(story.model).title, story, request.seed)
    return f"<b>{side}</b> · {line} · temperature {html.escape(f'{request.temperature:g}')}"
