"""The tab MusicGen: audio from a description, or continuing or following a recording."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gradio as gr

from demos.music.musicgen import MusicGenJob, MusicGenRequest, MusicGenStep, generate_musicgen
from demos.music.show_codebooks import show_codes, show_order
from demos.music.show_musicgen import (
    show_caption,
    show_empty,
    show_engine,
    show_problem,
    show_recording,
)
from demos.music.tabs.codebooks import create_codebooks
from shared.catalog import ModelSpec, is_musicgen
from shared.errors import InvalidRequest
from shared.limits import QUEUES
from shared.musicgen.engine import render
from shared.room import Room, Waiting, once
from shared.sounds import Recording, read_recording, save_wav
from shared.ui.controls import RunButtons, SeedControl, choose_model, create_slider
from shared.ui.events import QUEUED, say_errors, wire_generation
from shared.ui.files import new_file
from shared.ui.layout import CAPTION, tab_columns

GO_ON, FOLLOW = "go on", "follow"
USES = [("Go on from its end", GO_ON), ("Follow its melody", FOLLOW)]
LONGEST_PROMPT, LONGEST_MELODY = 20.0, 30.0  # seconds of a recording that are used
PRESETS = {
    "Sunday morning": "warm acoustic guitar with soft brushes on the drums, a slow Sunday morning",
    "Night drive": "driving synthwave with a pulsing bass and bright arpeggios, 110 bpm",
    "Rain": "a lonely cello over quiet rain, slow and dark",
    "Film about puppies": "cheerful ukulele and hand claps for a film about puppies",
    "Boss fight": "chiptune boss fight, fast square waves and a stubborn bass line",
    "Fanfare": "orchestral fanfare with brass and timpani, short and proud",
}
"""Titles and descriptions; titles are shown because Gradio truncates long examples."""
SLIDERS: dict[str, dict[str, Any]] = {
    "cfg_coef": {
        "step": 0.1,
        "label": "Guidance",
        "info": "How closely to follow the description; 1 does not insist and is twice as fast",
    },
    "top_k": {"step": 1, "info": "Choose among this many likeliest tokens; 0 means all"},
    "top_p": {
        "step": 0.01,
        "info": "Choose among the likeliest tokens that together have this probability",
    },
    "extend_stride": {
        "step": 1,
        "label": "Window moves by, in seconds",
        "info": "Beyond 30 seconds: the more it moves at once, the less it remembers",
    },
}


@dataclass(frozen=True, eq=False)
class Made:
    """The music that a visitor has generated so far, and how it was made."""

    model: str
    step: MusicGenStep
    recipe: dict[str, Any]
    caption: str
    name: str


def run_musicgen(room: Room, model: str, job: MusicGenJob) -> Iterator[MusicGenStep | Waiting]:
    """Generate music with ``model``; see ``Room.run``."""
    seconds = 10 + 2 * job.request.duration
    return room.run(generate_musicgen, model, job, seconds=seconds, every=0.25)


def create_musicgen(room: Room) -> None:
    """Add the contents of the tab to the current block."""

    def generate(
        model: str, path: str | None, use: str, description: str, *numbers: Any
    ) -> Generator[Any, None, None]:
        values = MusicGenRequest.name_numbers(*numbers)
        request = MusicGenRequest.parse(description=description, **values)
        spec = find_musicgen(room, model)
        job = read_job(request, path, use)
        of_this_one: dict[Any, Any] = {
            sound: None,
            download: gr.update(interactive=False),
            seed.used: request.seed,
        }
        for step in run_musicgen(room, model, job):
            if isinstance(step, Waiting):
                yield step
                continue
            made_recipe = write_recipe(room, model, job, step)
            said = show_caption(spec, step, request)
            yield of_this_one | {
                exhibit: show_codes(step),
                caption: said,
                order: show_order(step),
                recipe: made_recipe,
                made: Made(model, step, made_recipe, said, name_file(spec, request.seed)),
            }
            of_this_one = {}
        yield {caption: f"{said}<br>Decoding …"}

    def play(latest: Made | None, ending: str = "") -> dict[Any, Any]:
        if latest is None:  # stopped before a frame was complete
            return {caption: gr.skip()}
        file = save(room, latest)
        return {
            caption: latest.caption + ending,
            sound: file,
            download: gr.update(value=file, interactive=True),
            made: None,
            heard: (latest.model, latest.step),
        }

    def take_upload(path: str | None, use: str) -> tuple[Any, Any, str, None]:
        try:
            return path, gr.update(visible=True), show_recording(read_part(path or "", use)), None
        except InvalidRequest as error:  # keep the previous recording
            return gr.skip(), gr.skip(), show_problem(error), None

    def change_use(path: str | None, use: str) -> str:
        try:
            return show_recording(read_part(path, use)) if path else ""
        except InvalidRequest as error:
            return show_problem(error)

    def suit(model: str, heard: Any) -> tuple[str, Any]:
        empty = show_empty(room.settings, room.spec(model))
        return describe(room, model), gr.skip() if heard else empty

    with tab_columns() as columns:
        with columns.controls:
            description = gr.Textbox(
                next(iter(PRESETS.values())),
                label="Describe the music",
                info="Instruments, style, mood, tempo; or leave it empty",
                lines=3,
                max_length=500,
            )
            gr.Examples(
                [[text] for text in PRESETS.values()],
                [description],
                label="Uses to try",
                example_labels=list(PRESETS),
            )
            buttons = RunButtons.create("Make music")
            model = choose_model(room.catalog, "music", keep=is_musicgen)
            engine = gr.HTML(describe(room, model.value), **CAPTION)
            duration = create_slider(
                MusicGenRequest, "duration", step=1, label="New music in seconds"
            )
            with gr.Accordion("Start from a recording", open=False):
                with gr.Row():
                    upload = gr.UploadButton(
                        "Upload a recording", file_types=["audio"], size="sm", min_width=150
                    )
                    forget = gr.Button("Without it", size="sm", visible=False, min_width=90)
                use = gr.Radio(USES, value=GO_ON, label="What to do with it")
                recording = gr.HTML("", **CAPTION)
            with gr.Accordion("More settings", open=False):
                temperature = create_slider(
                    MusicGenRequest,
                    "temperature",
                    step=0.05,
                    info="Low stays with likely sounds, high takes risks",
                )
                sliders = [
                    create_slider(MusicGenRequest, name, **options)
                    for name, options in SLIDERS.items()
                ]
            seed = SeedControl.create()
        with columns.exhibit:
            exhibit = gr.HTML(show_empty(room.settings, room.spec(model.value)), padding=False)
            caption = gr.HTML("", **CAPTION)
            sound = gr.Audio(label="The music", interactive=False, buttons=[])
            download = gr.DownloadButton("Download sound (WAV)", interactive=False, size="sm")
    made, heard, path = gr.State(), gr.State(), gr.State()
    with gr.Accordion("Look inside", open=False, elem_classes="inside"):
        order = create_codebooks(room, heard)
        recipe = gr.JSON(label="Recipe: with the same recording, if there was one, the same music")

    cfg_coef, *others = sliders
    numbers = [duration, cfg_coef, temperature, *others, seed.seed]
    done, stopped = wire_generation(
        buttons,
        generate,
        [model, path, use, description, *numbers],
        [exhibit, caption, sound, download, order, seed.used, recipe, made],
        caption=caption,
        also=[description.submit],
    )
    # After a Stop, what is generated so far can be played.
    for event, ending in ((done, ""), (stopped, " · stopped")):
        event.then(
            say_errors(partial(play, ending=ending)),
            made,
            [caption, sound, download, made, heard],
            concurrency_id="generation",
            concurrency_limit=QUEUES["generation"],
            show_progress="hidden",
            api_visibility="private",
        )
    upload.upload(take_upload, [upload, use], [path, forget, recording, upload], **QUEUED)
    use.change(change_use, [path, use], recording, **QUEUED)
    forget.click(
        lambda: (None, gr.update(visible=False), ""), None, [path, forget, recording], **QUEUED
    )
    model.change(suit, [model, heard], [engine, exhibit], **QUEUED)


def answer_musicgen(
    room: Room,
    description: str,
    model: str,
    duration: float,
    temperature: float,
    seed: int,
) -> tuple[str, None, dict[str, Any]]:
    """Answer the endpoint ``generate_music`` for MusicGen models, which generate audio, not notes.

    Returns:
        A WAV file, no MIDI file, and the recipe with the seed that was used.

    Raises:
        GalleryError: A value cannot be used, or the model cannot be loaded.
    """
    request = MusicGenRequest.parse(
        description=description, duration=duration, temperature=temperature, seed=seed
    )
    spec = find_musicgen(room, model)
    job = MusicGenJob(request)
    last = room.finish(generate_musicgen, model, job, seconds=10 + 2 * request.duration)
    recipe = write_recipe(room, model, job, last)
    latest = Made(model, last, recipe, "", name_file(spec, request.seed))
    return save(room, latest), None, recipe


def find_musicgen(room: Room, model: str) -> ModelSpec:
    """Return the catalog entry of a model of this tab. Raises InvalidRequest."""
    spec = room.spec(model)
    if not is_musicgen(spec):
        raise InvalidRequest(f"{spec.title} writes notes, not sound. Choose a MusicGen here.")
    return spec


def read_part(path: str, use: str) -> Recording:
    """Read the part of a visitor's recording that is used. Raises InvalidRequest."""
    part: Literal["beginning", "end"] = "end" if use == GO_ON else "beginning"
    return read_recording(path, LONGEST_PROMPT if use == GO_ON else LONGEST_MELODY, part)


def read_job(request: MusicGenRequest, path: str | None, use: str) -> MusicGenJob:
    """Combine a request with a recording, if there is one. Raises InvalidRequest."""
    if not path:
        return MusicGenJob(request)
    sound = read_part(path, use).sound
    return (
        MusicGenJob(request, prompt=sound) if use == GO_ON else MusicGenJob(request, melody=sound)
    )


def write_recipe(room: Room, model: str, job: MusicGenJob, step: MusicGenStep) -> dict[str, Any]:
    """Return the recipe of ``step``; it only says how a recording was used."""
    recipe = room.recipe(model, job.request)
    used = GO_ON if job.prompt else FOLLOW if job.melody else "none"
    recipe["settings"] |= {"recording": used, "engine": step.engine}
    return recipe


def save(room: Room, latest: Made) -> str:
    """Decode and write a WAV file to Gradio's cache; return its path."""
    sound = room.finish(once(render), latest.model, latest.step.codes)
    file = new_file(f"{latest.name}.wav")
    save_wav(sound, file, latest.recipe)
    return str(file)


def name_file(spec: ModelSpec, seed: int) -> str:
    """Return a file name without suffix."""
    return f"{spec.key.split('/')[1]}-{seed}"


def describe(room: Room, model: str) -> str:
    """Return HTML about a model: library, licence and memory."""
    return show_engine(room.settings, room.spec(model))
