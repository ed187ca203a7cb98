"""Change: a drawing or an upload becomes something else, all of it or a part."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image, ImageOps

from demos.image.edit import (
    Edit,
    EditRequest,
    fit_mask,
    fit_picture,
    generate_edit,
)
from demos.image.run import BUNDLED, estimate_seconds
from demos.image.show import name_file, show_caption
from demos.image.show_change import HOW, PAD_SIDE, draw_blobs, show_pad, show_two, show_way
from demos.image.tabs.diffusion_controls import DiffusionControls
from shared.data_urls import to_data_url
from shared.errors import InvalidRequest
from shared.recipe_files import CHANGED, save_png
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons, create_slider
from shared.ui.events import QUEUED, QUICK, wire_generation
from shared.ui.files import new_file
from shared.ui.layout import CAPTION, tab_columns
from shared.uploads import read_data_url, read_picture

HERE = Path(__file__).parents[1]
EXAMPLE = HERE / "example-change.png"
PROMPT = "a happy purple monster with yellow horns on a peach background"
ALL, PART = "all", "part"
MODES = [("Change all of it", ALL), ("Replace a part", PART)]
STRENGTHS = {ALL: 0.6, PART: 0.9}

PAD_SCRIPT = """
const fail = () => {
  const line = element.querySelector(".sketch-failed");
  line.hidden = false;
  line.textContent = "The pad could not start. Reload the page to try again.";
};
const show = ({ mount }) => mount(element);
import(new URL("rooms/image/pad.js", document.baseURI)).then(show).catch(fail);
"""
TAKE = "(mode) => [mode, ...(document.querySelector('.pad').pad?.take() ?? ['', ''])]"
LAY = "(url) => { if (url) document.querySelector('.pad').pad.lay(url); }"
MARK = f"""(mode) => {{
  document.querySelector('.pad').pad.mark(mode === '{PART}');
  return {json.dumps(STRENGTHS)}[mode];
}}"""


def create_change(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def change(
        model: str,
        taken: PadContent,
        prompt: str,
        strength: float,
        *settings: Any,
    ) -> Generator[Any, None, None]:
        picture, mask = taken.picture, taken.mask
        request = EditRequest.parse(prompt=prompt, strength=strength, **controls.name(*settings))
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        none = gr.update(value=None, interactive=False)
        edit = Edit(request, picture, mask)
        for changed in room.run(generate_edit, model, edit, seconds=estimate_seconds(request)):
            if isinstance(changed, Waiting):
                yield changed
                continue
            before, step = changed.before, changed.drawing
            recipe["settings"] |= describe_part(mask, before.size)
            after = step.pictures[0] if step.pictures else None
            shown = show_two(before, after)
            caption = f"{show_caption(spec, step, [request.seed])} · strength {request.strength:g}"
            if not step.images:
                yield shown, caption, none, gr.skip(), gr.skip(), request.seed, recipe
                continue
            file = new_file(name_file(spec, request.seed, "changed") + ".png")
            save_png(step.images[0], file, recipe, source=CHANGED)
            way = show_way(before, step)
            kept = [gr.DownloadButton(value=str(file), interactive=True), step.images[0]]
            yield shown, caption, *kept, way, request.seed, recipe

    def take(mode: str, drawn: str, marks: str) -> tuple[Any, str]:
        try:
            return read_pad(mode, drawn, marks), ""
        except InvalidRequest as error:
            return gr.skip(), show_problem(error)

    def take_upload(path: str | None) -> tuple[Any, str, None]:
        try:
            picture = read_picture(path or "")
        except InvalidRequest as error:  # what is on the pad stays
            return "", show_problem(error), None
        return to_sheet(picture), "", None

    def take_result(made: Image.Image | None) -> tuple[Any, str]:
        if made is None:
            return "", show_problem("There is no result yet. Press Change first.")
        return to_sheet(made), ""

    def defaults_for(model: str, strength: float) -> tuple[Any, Any]:
        steps, guidance = controls.defaults_for(room.spec(model))
        enough = math.ceil(1 / strength) if strength else 1
        return max(steps, enough), guidance

    with tab_columns() as columns:
        with columns.controls:
            mode = gr.Radio(MODES, value=ALL, label="What to do")
            gr.HTML(show_pad(), js_on_load=PAD_SCRIPT, padding=False)
            upload = gr.UploadButton("Upload a picture", file_types=["image"], size="sm")
            problem = gr.HTML("", elem_classes=["caption", "change-problem"], padding=False)
            prompt = gr.Textbox(
                PROMPT,
                label="What it should become",
                info="Describe the whole picture, its background too",
                lines=2,
                max_length=1000,
            )
            buttons = RunButtons.create("Change")
            strength = create_slider(
                EditRequest,
                "strength",
                step=0.05,
                info="How much noise covers your picture: a little leaves it, 1 ignores it. "
                "This share of the steps is taken",
            )
            controls = DiffusionControls.create()
        with columns.exhibit:
            exhibit = gr.HTML(show_example())
            caption = gr.HTML(
                "A finished example: the drawing on the left became the critter on the right. "
                "Draw your own, or press Change.",
                **CAPTION,
            )
            with gr.Row():
                download = gr.DownloadButton("Download PNG", interactive=False, size="sm")
                again = gr.Button("Go on from this result", size="sm")
    taken, made = gr.State(), gr.State()
    # What scripts carry from and to the pad. Gradio's own image editor would send all that is on it
    # whenever any component on the page shows its progress.
    sent, sheet = [gr.Textbox(visible=False) for _ in range(2)], gr.Textbox(visible=False)
    with gr.Column(elem_classes="inside"), gr.Accordion("Look inside", open=False):
        gr.HTML(HOW, elem_classes="change-how")
        way = gr.HTML("Press Change: here is every step from your picture to the result.")
        recipe = gr.JSON(
            label="Recipe: with the same picture and marks, which it does not hold, the same result"
        )

    wire_generation(
        buttons,
        change,
        [model, taken, prompt, strength, *controls.inputs],
        [exhibit, caption, download, made, way, controls.seed.used, recipe],
        caption=caption,
        begin=[taken.change],  # the button first reads the pad
    )
    asked = [buttons.run.click, prompt.submit]
    gr.on(asked, take, [mode, *sent], [taken, problem], js=TAKE, **QUEUED)
    laid = [
        upload.upload(take_upload, upload, [sheet, problem, upload], **QUEUED),
        again.click(take_result, made, [sheet, problem], **QUEUED),
    ]
    for event in laid:
        event.then(None, sheet, None, js=LAY, api_visibility="private")
    mode.input(None, mode, strength, js=MARK, api_visibility="private")
    model.change(defaults_for, [model, strength], [controls.steps, controls.guidance], **QUICK)


@dataclass(frozen=True, eq=False)
class PadContent:
    """What was on the pad when the button was pressed; pressed again, it is another one."""

    picture: Image.Image
    mask: Image.Image | None = None


def read_pad(mode: str, drawn: str, marks: str) -> PadContent:
    """Read what the pad sent: the picture and, to replace a part, where; data URLs, "" for nothing.

    Raises:
        InvalidRequest: There is no picture, or nothing is marked.
    """
    if not drawn:
        raise InvalidRequest("There is no picture yet. Draw one, or upload one, first.")
    picture = read_data_url(drawn)
    if mode != PART:
        return PadContent(picture)
    if not marks:
        raise InvalidRequest("Nothing is marked. Paint over the part to replace first.")
    shown = ImageOps.invert(read_data_url(marks).convert("L"))  # what is clear was white
    mask = shown.point(lambda value: 255 * (value > 64))
    fit_mask(mask, mask.size)  # refused now, and not when it is the visitor's turn
    return PadContent(picture, mask)


def to_sheet(picture: Image.Image) -> str:
    """Fit a picture to the pad, as a data URL."""
    return to_data_url(fit_picture(picture, (PAD_SIDE, PAD_SIDE)))


def describe_part(mask: Image.Image | None, size: tuple[int, int]) -> dict[str, Any]:
    """Say for the recipe what was changed: all of it or, of a picture of ``size``, which part.

    The part has its share of the picture and its box: left, top, right and bottom in pixels.
    """
    if mask is None:
        return {"changed": "all"}
    part = fit_mask(mask, size)
    share = part.histogram()[255] / (size[0] * size[1])
    return {"changed": "part", "part_share": round(share, 3), "part_box": part.getbbox()}


def show_example() -> str:
    """What the tab shows on the first visit."""
    after = Image.open(EXAMPLE).convert("RGB")
    return show_two(fit_picture(draw_blobs(PAD_SIDE), after.size), after)


def show_problem(problem: InvalidRequest | str) -> str:
    """What went wrong with a picture, where it was chosen."""
    return f'<span class="failed" role="alert">{html.escape(str(problem))}</span>'


def make_example(room: Room) -> None:
    """Write the picture that the tab shows on the first visit."""
    request = EditRequest.parse(prompt=PROMPT, seed=7)
    last = room.finish(generate_edit, BUNDLED, Edit(request, draw_blobs(PAD_SIDE)))
    last.drawing.images[0].save(EXAMPLE, optimize=True)
