"""Write: a model goes on with a text; click a token, and the text branches there."""

from __future__ import annotations

import html
import json
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.generate import MAX_PROMPT, TextRequest, generate_text
from demos.text.presets import PRESETS
from demos.text.run import BUNDLED, run_text
from demos.text.story import Branch, Story, WriteCommand, begin_with, fork, read_tokens, show_story
from demos.text.tabs.endpoint import create_endpoint
from demos.text.tabs.sampling_controls import SamplingControls
from demos.text.tokens import count_tokens
from shared.errors import GalleryError
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import QUEUED, QUICK, say_errors, wire_generation
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "example.json"
EXAMPLE_SEED = 7
PAGE_SCRIPT = """
const start = ({ mount }) => mount(element, { trigger, watch, props });
import(new URL("rooms/text/page.js", document.baseURI)).then(start);
"""


def create_page(value: str | None = None) -> gr.HTML:
    """The sheet that a text appears on; its value is what ``show_story`` writes."""
    return gr.HTML(
        value,
        html_template="",
        js_on_load=PAGE_SCRIPT,
        apply_default_css=False,
        elem_classes="page",
    )


def create_write(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents and the endpoint ``generate_text`` to the current place."""
    example = load_example()

    def write(
        command: WriteCommand, model: str, prompt: str, keep_end: bool, *values: Any
    ) -> Generator[Any, None, None]:
        settings = TextRequest.name_numbers(*values)
        if command.story:
            model, prompt = command.story.model, command.story.prompt
        if command.story and not command.branch.tokens:
            settings["seed"] = -1  # the same text once more would be no other way to go on
        request = begin_with(
            TextRequest.parse(prompt=prompt, keep_end=keep_end, **settings), command.branch
        )
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        branch = replace(command.branch, recipe=recipe, note=command.branch.note or "as it came")
        grown = (command.story or Story(prompt, model)).grow(branch)
        for step in run_text(room, model, request):
            if isinstance(step, Waiting):
                yield step
                continue
            # After a Stop, the recipe asks for the tokens that were written until then.
            recipe["settings"]["max_new_tokens"] = max(1, len(step.tokens))
            grown = grown.write(step, command.branch.tokens)
            yield {
                page: show_story(grown),
                story: grown,
                caption: show_caption(spec.title, grown, request.seed),
                sampling.seed.used: request.seed,
                shown_recipe: recipe,
            }

    with tab_columns() as columns:
        with columns.controls:
            preset = gr.Dropdown(
                [(one.title, one.title) for one in PRESETS],
                value=PRESETS[0].title,
                label="What shall it be?",
                info=PRESETS[0].note,
            )
            prompt = gr.Textbox(
                PRESETS[0].prompt,
                label="Your beginning; the model goes on from here",
                lines=4,
                max_lines=12,
            )
            buttons = RunButtons.create("Write")
            with gr.Row(elem_classes="seed-row"):
                again = gr.Button("Another way", size="sm", min_width=90)
                more = gr.Button("Go on", size="sm", min_width=90)
                edit = gr.Button("Edit the text", size="sm", min_width=90)
            sampling = SamplingControls.create(EXAMPLE_SEED)
            keep_end = gr.Checkbox(
                False,
                label="Read only the end",
                info="If your beginning is longer than the model's context, what it looks back on",
            )
        with columns.exhibit:
            page = create_page(example["page"])
            caption = gr.HTML("A finished example. Press Write for a new one.", **CAPTION)
            with gr.Accordion("Recipe: the same recipe gives the same text", open=False):
                shown_recipe = gr.JSON(example["recipe"], show_label=False)
    story = gr.State(example["story"])
    command = gr.State(WriteCommand())

    def choose_preset(title: str, prompt: str) -> tuple[Any, ...]:
        chosen = next((one for one in PRESETS if one.title == title), PRESETS[0])
        sliders = [chosen.values.get(name, gr.skip()) for name in sampling.sliders]
        own = prompt.strip() and prompt not in [one.prompt for one in PRESETS]
        note = f"{chosen.note} Your own beginning stays." if own else chosen.note
        return gr.update(info=note), gr.skip() if own else chosen.prompt, *sliders

    def command_new(last: WriteCommand) -> WriteCommand:
        return WriteCommand(last.number + 1)

    def command_again(last: WriteCommand, story: Story) -> WriteCommand:
        return WriteCommand(last.number + 1, story, Branch(note="another way"))

    def command_more(last: WriteCommand, story: Story) -> WriteCommand:
        tokens = story.branch.tokens
        return WriteCommand(last.number + 1, story, Branch(tokens=tokens, note="and further"))

    def command_fork(last: WriteCommand, story: Story, event: gr.EventData) -> WriteCommand:
        asked = event._data if isinstance(event._data, dict) else {}
        place, id_ = asked.get("place"), asked.get("id")
        if not isinstance(place, int) or not isinstance(id_, int):
            raise GalleryError("The page sent something unreadable. Click the word again.")
        return WriteCommand(last.number + 1, story, fork(story, place, id_))

    def visit(story: Story, event: gr.EventData) -> tuple[Any, ...]:
        asked = event._data if isinstance(event._data, dict) else {}
        number = asked.get("branch")
        shown = story.visit(number if isinstance(number, int) else story.current)
        recipe = shown.branch.recipe
        title = room.spec(shown.model).title
        return (
            shown,
            show_story(shown),
            show_caption(title, shown, recipe.get("seed", -1)),
            recipe,
        )

    preset.select(
        choose_preset, [preset, prompt], [preset, prompt, *sampling.sliders.values()], **QUICK
    )
    buttons.run.click(command_new, command, command, **QUEUED)
    prompt.submit(command_new, command, command, **QUEUED)
    again.click(command_again, [command, story], command, **QUEUED)
    more.click(command_more, [command, story], command, **QUEUED)
    page.select(say_errors(command_fork), [command, story], command, **QUEUED)
    page.expand(visit, story, [story, page, caption, shown_recipe], **QUICK)
    edit.click(lambda story: story.text[:MAX_PROMPT], story, prompt, **QUICK)
    wire_generation(
        buttons,
        write,
        [command, model, prompt, keep_end, *sampling.inputs],
        [page, story, caption, sampling.seed.used, shown_recipe],
        caption=caption,
        begin=[command.change],
    )
    create_endpoint(room)


def show_caption(title: str, story: Story, seed: int) -> str:
    """The line under the page."""
    read = f" · the first {story.branch.clipped:,} characters were not read"
    return (
        f"<b>{html.escape(title)}</b> · {count_tokens(len(story.branch.tokens))} · seed {seed}"
        + (read if story.branch.clipped else "")
    )


def make_example(room: Room) -> None:
    """Write the text of the first visit, ``example.json``."""
    preset = PRESETS[0]
    request = TextRequest.parse(prompt=preset.prompt, seed=EXAMPLE_SEED, **preset.values)
    last = room.finish(generate_text, BUNDLED, request)
    recipe = room.recipe(BUNDLED, request)
    story = Story(preset.prompt, BUNDLED).grow(Branch(note="as it came", recipe=recipe))
    shown = json.loads(show_story(story.write(last, ())))
    EXAMPLE.write_text(json.dumps({"page": shown, "recipe": recipe}) + "\n", encoding="utf-8")


def load_example() -> dict[str, Any]:
    """What ``make_example`` wrote, ready for the page."""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    page = json.dumps(example["page"])
    branch = Branch(read_tokens(page), note="as it came", recipe=example["recipe"])
    story = Story(example["page"]["prompt"], BUNDLED).grow(branch)
    return {"page": page, "story": story, "recipe": example["recipe"]}
