"""Compose: a tune from a description, as sound and as notes."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr
import numpy as np

from demos.music.generate import Bar, MusicRequest, MusicStep, NoteToken, generate_music
from demos.music.room import BUNDLED, HOLDER, MusicRoom
from demos.music.show import show_bars, show_caption, show_roll
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.recipes import Recipe
from shared.settings import Settings
from shared.tunes.sound import PlayedNote, render, score_to_midi_bytes
from shared.ui import (
    CAPTION,
    RunButtons,
    SeedControl,
    add_endpoint,
    choose_model,
    create_slider,
    in_turn,
    new_file,
    say_errors,
    stop_on_exit,
    throttle,
    wake,
    wire_generation,
)
from shared.zero_gpu import on_gpu

HERE = Path(__file__).parents[1]
SAMPLE_RATE = 44_100
PLAYED_COLOR = "#0d9488"  # the accent, halfway between light and dark
EXAMPLES = [
    "a lively jig in D major on the fiddle",
    "a Bach chorale in G minor on the organ",
    "a fast reel in E dorian on the accordion",
    "a slow air in F major on the flute",
    "a merry hornpipe in A mixolydian on the concertina",
    "a sad waltz in B minor on the harp",
]
EXAMPLE_SEED = 5


@dataclass(frozen=True)
class Composition:
    """What a visitor has composed so far: the latest step and the caption that goes with it."""

    step: MusicStep
    caption: str
    name: str


def create_compose(room: MusicRoom) -> None:
    """Add the tab's contents and the endpoint ``generate_music`` to the current place."""
    example = load_example()

    @in_turn
    @on_gpu(room.catalog, room.settings, lambda request: 5 + request.duration)
    def stream(model: str, request: MusicRequest) -> Iterator[MusicStep]:
        with room.cache.lease(model, HOLDER) as tune_model, stop_on_exit() as stop:
            yield from throttle(generate_music(tune_model, request, stop))

    def show_on_page(description: str, model: str, *numbers: Any) -> Generator[Any, None, None]:
        request = MusicRequest.parse(description=description, **MusicRequest.name_numbers(*numbers))
        spec = room.spec(model)
        yield from wake(room.cache, spec)
        of_this_tune: dict[Any, Any] = {
            recipe: room.recipe(model, request),
            seed.used: request.seed,
            sound: None,
            sound_file: gr.update(interactive=False),
            notes_file: gr.update(interactive=False),
        }
        for step in stream(model, request):
            said = show_caption(step, spec.title, request.seed)
            yield of_this_tune | {
                roll: show_roll(step.notes, request.duration, step.bar_seconds),
                caption: said,
                bars: show_bars(step.bars),
                composition: Composition(step, said, f"tune-{request.seed}"),
            }
            of_this_tune = {}
        yield {caption: f"{said}<br>Rendering …"}

    def play_on_page(composed: Composition | None, ending: str = "") -> dict[Any, Any]:
        if composed is None:  # stopped before anything was composed
            return {caption: gr.skip()}
        wav, midi = save(composed.step, composed.name)
        return {
            caption: composed.caption + ending,
            composition: None,
            sound: wav,
            sound_file: gr.update(value=wav, interactive=True),
            notes_file: gr.update(value=midi, interactive=True),
        }

    def answer(
        description: str, model: str, duration: float, temperature: float, seed: int
    ) -> tuple[str, str, dict[str, Any]]:
        """Compose a tune from a description, as sound and as notes.

        Args:
            description: Plain words for style, key, meter, tempo and instrument, such as
                "a slow air in G minor on the flute"; empty means anything; at most 500 characters.
            model: Key from list_models, such as music/tunes.
            duration: Seconds, 5 to 60; the music ends with the bar in which they are over.
            temperature: 0.1 (the likeliest notes) to 1.5 (bold).
            seed: Same seed, same tune; -1 draws one.

        Returns:
            A WAV file, a MIDI file, and the recipe with the seed that was used.
        """
        request = MusicRequest.parse(
            description=description, duration=duration, temperature=temperature, seed=seed
        )
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        for _ in wake(room.cache, spec):
            pass
        *_, last = stream(model, request)
        return *save(last, f"tune-{request.seed}"), recipe

    with gr.Row(elem_classes="floor"):
        with gr.Column(scale=4, min_width=300, elem_classes="controls"):
            description = gr.Textbox(
                EXAMPLES[0],
                label="Describe a tune",
                info="Style, key, mood, tempo, instrument; or leave it empty",
                lines=2,
                max_length=500,
            )
            buttons = RunButtons.create("Compose")
            gr.Examples([[text] for text in EXAMPLES], [description], label="Tunes to try")
            duration = create_slider(MusicRequest, "duration", step=1, label="Duration in seconds")
            temperature = create_slider(
                MusicRequest,
                "temperature",
                step=0.05,
                info="Low stays with likely notes, high takes risks",
            )
            with gr.Accordion("More settings", open=False):
                model = choose_model(room.catalog, "music")
            seed = SeedControl.create()
        with gr.Column(scale=7, min_width=300, elem_classes="exhibit"):
            roll = gr.HTML(example.roll, padding=False)
            caption = gr.HTML(example.caption, **CAPTION)
            sound = gr.Audio(
                example.sound,
                label="The tune, played",
                interactive=False,
                buttons=[],
                waveform_options=gr.WaveformOptions(waveform_progress_color=PLAYED_COLOR),
            )
            with gr.Row():
                sound_file = gr.DownloadButton("Download sound (WAV)", example.sound, size="sm")
                notes_file = gr.DownloadButton("Download notes (MIDI)", example.notes, size="sm")
    with gr.Accordion("Look inside", open=False):
        gr.Markdown(
            "What the model wrote, token by token, each coloured by the probability it "
            "had: the darker, the surer. Point at one to see the figure. Positions and "
            "durations are parts of a whole note. It writes every tune in C; the key you "
            "asked for is set afterwards."
        )
        bars = gr.HTML(example.bars, max_height=480)
        recipe = gr.JSON(example.recipe, label="Recipe: the same recipe, the same tune")
    composition = gr.State()

    done, stopped = wire_generation(
        buttons,
        show_on_page,
        [description, model, duration, temperature, seed.seed],
        [roll, caption, sound, sound_file, notes_file, bars, seed.used, recipe, composition],
        caption=caption,
        also=[description.submit],
    )
    # What a stopped tune has so far can be played, too.
    for event, ending in ((done, ""), (stopped, " · stopped")):
        event.then(
            say_errors(partial(play_on_page, ending=ending)),
            composition,
            [caption, sound, sound_file, notes_file, composition],
            show_progress="hidden",
            api_visibility="private",
        )
    add_endpoint(
        "generate_music",
        answer,
        {"description": EXAMPLES[0], "model": BUNDLED, **MusicRequest.numbers()},
        [
            gr.File(label="sound", visible=False),
            gr.File(label="notes", visible=False),
            gr.JSON(label="recipe", visible=False),
        ],
    )


def save(step: MusicStep, name: str) -> tuple[str, str]:
    """Write a WAV and a MIDI file where Gradio keeps and clears its files; return their paths."""
    import soundfile

    base = new_file(name)
    wav, midi = base.with_suffix(".wav"), base.with_suffix(".mid")
    soundfile.write(wav, play(step), SAMPLE_RATE, subtype="PCM_16")
    midi.write_bytes(score_to_midi_bytes(step.score))
    return str(wav), str(midi)


def play(step: MusicStep) -> np.ndarray:
    """Render the sound from the first note on, float32, shape (samples, 2)."""
    return render(step.score, SAMPLE_RATE)[round(step.pickup * SAMPLE_RATE) :]


@dataclass(frozen=True)
class Example:
    """A finished composition for the first visit, ready to be shown."""

    roll: str
    caption: str
    bars: str
    recipe: dict[str, Any]
    sound: str
    notes: str


def load_example() -> Example:
    """Read what ``make_example`` wrote."""
    data = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
    notes = [PlayedNote(**note) for note in data["notes"]]
    bars = [
        Bar(bar["tune"], tuple(NoteToken(**token) for token in bar["tokens"]))
        for bar in data["bars"]
    ]
    duration = data["recipe"]["settings"]["duration"]
    return Example(
        roll=show_roll(notes, duration, data["bar_seconds"]),
        caption=f"{data['caption']}<br>A finished example. Press Compose for a new one.",
        bars=show_bars(bars),
        recipe=data["recipe"],
        sound=str(HERE / "example.mp3"),
        notes=str(HERE / "example.mid"),
    )


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Compose the finished example of the first visit anew, from the first of ``EXAMPLES``."""
    import soundfile

    request = MusicRequest.parse(description=EXAMPLES[0], seed=EXAMPLE_SEED)
    spec = Catalog(settings).get(BUNDLED)
    with cache.lease(spec.key) as tune_model:
        *_, step = generate_music(tune_model, request, Event())
    soundfile.write(
        HERE / "example.mp3", play(step).mean(axis=1), SAMPLE_RATE, compression_level=0.7
    )
    (HERE / "example.mid").write_bytes(score_to_midi_bytes(step.score))
    data = {
        "caption": show_caption(step, spec.title, request.seed),
        "recipe": Recipe.of(spec, request, settings).to_dict(),
        "bar_seconds": step.bar_seconds,
        "notes": [asdict(note) for note in step.notes],
        "bars": [asdict(bar) for bar in step.bars],
    }
    (HERE / "example.json").write_text(json.dumps(data), encoding="utf-8")
