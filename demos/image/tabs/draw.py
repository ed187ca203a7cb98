"""Draw: pictures from words, and every step on the way."""

from __future__ import annotations

import html
import json
import time
from collections.abc import Generator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.image.builder import BEHAVIOUR, FIRST, KITS, Built, ask_for, list_examples, show_builder
from demos.image.generate import (
    MAX_PROMPT,
    ImageRequest,
    ImageStep,
    Word,
    decode_frame,
    generate_image,
)
from demos.image.run import BUNDLED, estimate_seconds, run_image
from demos.image.show import name_file, show_caption, show_pictures, show_words
from demos.image.show_film import answer_frames, make_film
from demos.image.tabs.diffusion_controls import DiffusionControls
from demos.image.tabs.endpoint import create_endpoint
from demos.image.tabs.inside import create_inside
from shared.catalog import ModelSpec
from shared.critters.vocabulary import read_worlds
from shared.errors import GalleryError
from shared.recipe_files import read_recipe, save_png
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons, create_slider
from shared.ui.events import LIVE, QUICK, wire_generation
from shared.ui.layout import CAPTION, tab_columns

HERE = Path(__file__).parents[1]
PROMPT = KITS[FIRST].examples[0]
EXAMPLE_SEED = 3


# Gradio cannot read an empty number, and while one types there is one: then nothing is drawn.
UNLESS_EMPTY = """(following, model, prompt, state, ...how) =>
  how.includes(null)
    ? [false, model, prompt, state, ...how.map((value) => value ?? 1)]
    : [following, model, prompt, state, ...how]"""


def create_draw(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents and the endpoint ``generate_image`` to the current place."""
    worlds = read_worlds(room.settings.models_dir / "image-critters")
    own_label = ask_for(worlds)
    examples = list_examples(worlds)

    def write_recipes(model: str, request: ImageRequest) -> list[dict[str, Any]]:
        alone = ({"seed": seed, "num_images": 1} for seed in request.seeds)
        return [room.recipe(model, request.model_copy(update=one)) for one in alone]

    def show_on_page(
        model: str, prompt: str, count: int, side: int, *settings: Any
    ) -> Generator[Any, None, None]:
        request = ImageRequest.parse(
            prompt=prompt, num_images=count, width=side, height=side, **controls.name(*settings)
        )
        spec = room.spec(model)
        started = time.monotonic()
        for step in run_image(room, model, request):
            if isinstance(step, Waiting):
                started = time.monotonic()
                yield step
                continue
            recipes = write_recipes(model, request) if step.images else []
            left = say_left(step, time.monotonic() - started)
            shown = {
                exhibit: render_pictures(spec, step, request, recipes),
                caption: show_caption(spec, step, request.seeds, left),
                controls.seed.used: request.seed,
            }
            if step.images:
                shown |= inside.show(model, request, step, recipes[0])
            yield shown

    def draw_live(following: bool, model: str, prompt: str, used: int, *settings: Any) -> Any:
        if not following or not room.spec(model).bundled:
            return {caption: gr.skip()}
        if not prompt.strip():
            return {caption: "Write something: the picture waits for words."}
        asked = controls.name(*settings)
        if asked["seed"] == -1:
            asked["seed"] = max(used, 0)  # the same noise: only the words change the picture
        try:
            request = ImageRequest.parse(prompt=prompt, **asked)
        except GalleryError as error:
            return {caption: html.escape(str(error))}
        step = room.finish(generate_image, model, request, seconds=estimate_seconds(request))
        spec = room.spec(model)
        return {
            exhibit: render_pictures(spec, step, request, write_recipes(model, request)),
            caption: show_caption(spec, step, request.seeds) + " · live",
            **inside.forget(step),
            controls.seed.used: request.seed,
        }

    def apply_defaults(model: str) -> list[Any]:
        """The settings that a newly chosen model works best with."""
        spec = room.spec(model)
        sizes = [("its own", 0), *((f"{side} × {side}", side) for side in spec.sizes)]
        return [
            *controls.defaults_for(spec),
            gr.update(choices=sizes, value=0, visible=len(sizes) > 1),
            gr.update(visible=spec.bundled),
            gr.update(visible=spec.bundled),
            gr.update(label=own_label if spec.bundled else "Describe a picture"),
        ]

    def build(prompt: str, written: Built, world: str, event: gr.EventData) -> Any:
        sent = event._data if isinstance(event._data, dict) else {}
        choice, clicked = sent.get("choice"), sent.get("clicked")
        if not isinstance(choice, dict) or not isinstance(clicked, dict):
            return gr.skip(), gr.skip(), False
        if prompt.strip() in examples:
            prompt, written = "", Built()
        built = written.build(prompt, choice, clicked, world)
        return built.prompt[:MAX_PROMPT], built, built.choice != choice

    def press(built: Built, world: str, others: bool) -> Any:
        # Only if others hold now: another click may be on its way.
        return show_builder(built.choice, world) if others else gr.skip()

    example = load_example()
    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(PROMPT, label=own_label, lines=3, max_length=MAX_PROMPT)
            following = gr.Checkbox(
                False, label="Draw while I type", info="The picture follows the words and sliders"
            )
            buttons = RunButtons.create("Draw")
            with gr.Accordion("Put one together by clicking", open=False) as helper:
                world = gr.Radio(
                    [(KITS[name].title, name) for name in worlds],
                    value=FIRST,
                    visible=len(worlds) > 1,
                    label="What to put together",
                    show_label=False,
                    container=False,
                )
                builder = gr.HTML(
                    show_builder(), js_on_load=BEHAVIOUR, elem_classes="builder", padding=False
                )
            gr.Examples([[text] for text in examples], [prompt], label="Prompts to try")
            count = create_slider(
                ImageRequest,
                "num_images",
                step=1,
                label="Pictures",
                info="Same words, other noise",
            )
            controls = DiffusionControls.create(open_sliders=True)
            with controls.more:
                side = gr.Dropdown([("its own", 0)], value=0, label="Size", visible=False)
        with columns.exhibit:
            exhibit = gr.HTML(example["pictures"], padding=False)
            caption = gr.HTML(
                "A finished example. Press Draw for a new one, or tick “Draw while I type”.",
                **CAPTION,
            )
    written = gr.State(Built())  # what the helper wrote last
    others = gr.State(False)  # whether other buttons of it hold than are pressed
    inside = create_inside(room, example)
    create_endpoint(room)

    outputs = [exhibit, caption, controls.seed.used, *inside.outputs]
    wire_generation(
        buttons,
        show_on_page,
        [model, prompt, count, side, *controls.inputs],
        outputs,
        caption=caption,
        also=[prompt.submit],
    )
    # Emptying a field, or filling it by the builder, fires a change event but no input event.
    sliders = (controls.steps, controls.guidance, controls.seed.seed)
    gr.on(
        [prompt.change, following.input, *(one.input for one in sliders)],
        draw_live,
        [following, model, prompt, controls.seed.used, *controls.inputs],
        outputs,
        js=UNLESS_EMPTY,
        **LIVE,
    )
    builder.select(
        build, [prompt, written, world], [prompt, written, others], trigger_mode="multiple", **QUICK
    ).then(press, [written, world, others], builder, **QUICK)
    # What was put together before stays in the field until the first click.
    world.input(lambda world: show_builder(world=world), world, builder, **QUICK)
    adjusted = [controls.steps, controls.guidance, side, following, helper, prompt]
    model.change(apply_defaults, model, adjusted, **QUICK)


def render_pictures(
    spec: ModelSpec, step: ImageStep, request: ImageRequest, recipes: Sequence[dict[str, Any]]
) -> str:
    """Show the pictures of a step; with ``recipes``, finished ones can be saved."""
    names = [name_file(spec, seed) + ".png" for seed in request.seeds]
    return show_pictures(step.pictures, request.seeds, recipes, request.prompt, names)


def say_left(step: ImageStep, seconds: float) -> str:
    """Say how long a drawing will take from here, if that is long enough to want to know."""
    left = seconds / max(1, step.index) * (step.total - step.index)
    return f"about {left:.0f} s left" if left >= 2 else ""


def make_example(room: Room) -> None:
    """Draw what a first visit shows: ``example.png`` with its recipe, and ``example.json``."""
    defaults = room.spec(BUNDLED).defaults
    request = ImageRequest.parse(prompt=PROMPT, seed=EXAMPLE_SEED, **defaults)
    last = room.finish(generate_image, BUNDLED, request)
    film = make_film("example", last.film, request.seeds, last.images)
    with room.cache.lease(BUNDLED, room.holder) as pipeline:
        exact = partial(decode_frame, pipeline)
        answer = answer_frames("example", last.film, range(len(last.film.frames) - 1), exact)
    for index, pictures in answer["exact"].items():
        film["frames"][index]["exact"] = pictures
    save_png(last.images[0], HERE / "example.png", room.recipe(BUNDLED, request))
    example = {
        "words": [asdict(word) for word in last.words],
        "film": film,
    }
    text = json.dumps(example, ensure_ascii=False) + "\n"
    (HERE / "example.json").write_text(text, encoding="utf-8")


def load_example() -> dict[str, Any]:
    """What ``make_example`` wrote, ready for the page."""
    example = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
    path = HERE / "example.png"
    recipe = read_recipe(path) or {}
    with Image.open(path) as picture:
        names = [f"critters-seed-{EXAMPLE_SEED}.png"]
        shown = show_pictures([picture.convert("RGB")], [EXAMPLE_SEED], [recipe], PROMPT, names)
    return {
        "pictures": shown,
        "film": example["film"],
        "words": show_words([Word(**word) for word in example["words"]]),
        "recipe": recipe,
    }
