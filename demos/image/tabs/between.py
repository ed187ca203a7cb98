"""Between: an animation from sentence to sentence, or from noise to noise."""

from __future__ import annotations

import html
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.image.between import BetweenRequest, generate_between
from demos.image.run import BUNDLED
from demos.image.show import name_file
from demos.image.show_between import (
    FRAMES_PER_SECOND,
    describe,
    play,
    save_films,
    show_film,
    show_frames,
    show_progress,
    show_withheld,
)
from demos.image.tabs.diffusion_controls import DiffusionControls
from demos.image.tabs.draw import PROMPT
from shared.data_urls import make_data_url
from shared.film import save_mp4
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons, create_slider
from shared.ui.events import QUICK, wire_generation
from shared.ui.files import new_file, offer_download
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "between.mp4"
EXAMPLE_SEED = 7
FIRST, SECOND = PROMPT, "an angry orange beast with white spikes"
LARGE_FRAMES = 8  # of a large model, to begin with
KINDS = [("The words", "words"), ("The noise", "noise")]
WAYS = [("Around (spherical)", "spherical"), ("Straight (linear)", "linear")]
WHY = {
    "words": (
        "The text encoder turns each sentence into a list of numbers, and each frame mixes the "
        "numbers of both, a little more of the second each time. No sentence says what lies in "
        "the middle, and the network never read such a mixture: it shows something of both, or "
        "something of its own, or jumps. The noise stays the same, so all that changes comes from "
        "the words."
    ),
    "noise": (
        "The words stay, and the noise turns, little by little, from one seed's to another's, so "
        "that neighbouring frames are alike. It turns rather than going straight: halfway on a "
        "straight line two noises partly cancel, to 71 % of their strength. The network was only "
        "ever given noise of full strength, and may make flat or strange pictures of less. Try "
        "both ways."
    ),
}


def create_between(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def animate(
        model: str,
        what: str,
        prompt: str,
        second_prompt: str,
        frames: int,
        distance: float,
        way: str,
        *values: Any,
    ) -> Generator[Any, None, None]:
        request = BetweenRequest.parse(
            prompt=prompt,
            second_prompt=second_prompt,
            what=what,
            frames=frames,
            distance=distance,
            way=way,
            **DiffusionControls.name(*values),
        )
        spec = room.spec(model)
        recipe, about = room.recipe(model, request), html.escape(describe(request))
        none = gr.update(value=None, interactive=False)
        last = None
        # All frames are sent each time, so a few times a second is enough.
        seconds = estimate_seconds(request)
        for step in room.run(generate_between, model, request, seconds=seconds, every=0.3):
            if isinstance(step, Waiting):
                yield step
                continue
            last = step
            yield show_frames(last), show_progress(last), none, none, request.seed, recipe
        if last and last.is_done:
            yield gr.skip(), f"{about} · making the film", none, none, request.seed, recipe
            base = new_file(name_file(spec, request.seed, "between"))
            gif, mp4 = save_films(last, base, recipe)
            yield (
                show_film(f"gradio_api/file={mp4.as_posix()}", describe(request))
                + show_frames(last),
                f"{about}{show_withheld(last)}",
                offer_download("Download GIF", gif),
                offer_download("Download MP4", mp4),
                request.seed,
                recipe,
            )

    with tab_columns() as columns:
        with columns.controls:
            what = gr.Radio(KINDS, value="words", label="What changes")
            prompt = gr.Textbox(FIRST, label="From", lines=2, max_length=1000)
            second_prompt = gr.Textbox(SECOND, label="To", lines=2, max_length=1000)
            buttons = RunButtons.create("Animate")
            frames = create_slider(BetweenRequest, "frames", step=1, label="Frames")
            with gr.Column(visible=False) as turning:
                distance = create_slider(
                    BetweenRequest,
                    "distance",
                    step=0.05,
                    label="How far to the other seeds",
                    info="1 passes through them; less stays near the first",
                )
                way = gr.Radio(WAYS, value="spherical", label="Way")
            controls = DiffusionControls.create()
            why = gr.HTML(WHY["words"], **CAPTION)
        with columns.exhibit:
            exhibit = gr.HTML(show_example(), elem_classes="between")
            caption = gr.HTML(
                f"A finished example: from “{FIRST}” to “{SECOND}”. Press Animate for a new one.",
                **CAPTION,
            )
            with gr.Row():
                gif = gr.DownloadButton("Download GIF", interactive=False, size="sm")
                mp4 = gr.DownloadButton("Download MP4", interactive=False, size="sm")
    with gr.Accordion("Look inside", open=False):
        recipe = gr.JSON(label="Recipe: the same recipe gives the same animation")
    wire_generation(
        buttons,
        animate,
        [model, what, prompt, second_prompt, frames, distance, way, *controls.inputs],
        [exhibit, caption, gif, mp4, controls.seed.used, recipe],
        caption=caption,
        also=[prompt.submit, second_prompt.submit],
    )

    def choose_kind(chosen: str) -> list[Any]:
        is_noise = chosen == "noise"
        return [
            gr.Textbox(label="Words" if is_noise else "From"),
            gr.Textbox(visible=not is_noise),
            gr.Column(visible=is_noise),
            WHY[chosen],
        ]

    def apply_defaults(model: str) -> list[Any]:
        spec = room.spec(model)
        count = BetweenRequest.limits("frames")[2] if spec.bundled else LARGE_FRAMES
        return [count, *controls.defaults_for(spec)]

    what.change(choose_kind, what, [prompt, second_prompt, turning, why], **QUICK)
    model.change(apply_defaults, model, [frames, controls.steps, controls.guidance], **QUICK)


def estimate_seconds(request: BetweenRequest) -> float:
    """How long a graphics card needs for all frames."""
    return 8 + request.frames * (0.1 + request.num_inference_steps / 15)


def show_example() -> str:
    """The film of the first visit, or a hint where there is none."""
    if not EXAMPLE.is_file():
        return '<p class="nothing-yet">Press Animate, and the frames appear here.</p>'
    return show_film(
        make_data_url(EXAMPLE.read_bytes(), "video/mp4"), f"From “{FIRST}” to “{SECOND}”"
    )


def make_example(room: Room) -> None:
    """Write the film of the first visit."""
    request = BetweenRequest.parse(
        what="words", prompt=FIRST, second_prompt=SECOND, seed=EXAMPLE_SEED
    )
    last = room.finish(generate_between, BUNDLED, request)
    EXAMPLE.parent.mkdir(exist_ok=True)
    shown, seconds = play(last)
    recipe = room.recipe(BUNDLED, request)
    # Small, since it is part of the page.
    save_mp4(
        shown,
        EXAMPLE,
        recipe,
        seconds=seconds,
        height=256,
        frames_per_second=FRAMES_PER_SECOND,
        crf=32,
    )
