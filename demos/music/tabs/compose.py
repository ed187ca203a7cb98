"""The tab Compose: a tune from a description or controls, played while it is being composed."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Generator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from demos.music.generate import Bar, MusicRequest, MusicStep, NoteToken, generate_music
from demos.music.piece import ComposeCommand, Piece
from demos.music.presets import EXAMPLE
from demos.music.recording import Chunk, PieceAudio, save, write_midi
from demos.music.run import BUNDLED, run_music
from demos.music.show import describe_left, show_bars, show_caption, show_player
from demos.music.tabs.change import create_change
from demos.music.tabs.controls import TuneControl
from demos.music.tabs.endpoint import create_endpoint
from demos.music.tabs.sheet import create_sheet
from shared.catalog import is_musicgen
from shared.room import Room, Waiting
from shared.tunes.loudness import find_gain
from shared.tunes.measures import read_measures, write_measures
from shared.tunes.sound import SAMPLE_RATE
from shared.ui.controls import RunButtons, choose_model
from shared.ui.events import QUEUED, say_errors, wire_generation
from shared.ui.files import new_file
from shared.ui.layout import CAPTION, tab_columns

HERE = Path(__file__).parents[1]
EXAMPLE_SOUND = HERE / "browser" / "example.mp3"  # served at rooms/music/
EXAMPLE_SEED = 7
PLAYER_SCRIPT = """
const start = ({ mount }) => mount(element, { trigger, watch, props });
import(new URL("rooms/music/player.js", document.baseURI)).then(start);
"""


def create_player(value: str) -> gr.HTML:
    """Return the player with its piano roll; its value is the result of ``show_player``."""
    return gr.HTML(
        value,
        html_template="",
        js_on_load=PLAYER_SCRIPT,
        apply_default_css=False,
        elem_classes="player",
    )


def create_compose(room: Room) -> None:
    """Add the contents of the tab and the endpoint ``generate_music`` to the current block."""
    example = load_example()

    def compose(command: ComposeCommand, model: str, *values: Any) -> Generator[Any, None, None]:
        request = command.request(TuneControl.read(*values))
        spec = room.spec(model)
        recipe = room.recipe(model, request)
        made = Piece(
            MusicStep(request.controls, ()), spec.title, recipe, command.note, after=command.after
        )
        audio = PieceAudio(new_file, room.settings.soundfont)
        began = time.monotonic()
        of_this_piece: dict[Any, Any] = {
            control.seed.used: request.seed,
            wav: gr.update(interactive=False),
            midi: gr.update(interactive=False),
        }
        # After a Stop before the first chunk, the previous piece stays.
        for composed in run_music(room, model, request):
            if isinstance(composed, Waiting):
                began = time.monotonic()
                yield composed
                continue
            step = command.recall(composed)
            if not audio.advance(step):
                continue
            made = replace(made, step=step, chunks=audio.chunks, rendered=audio.seconds)
            left = describe_left(step.done, time.monotonic() - began)
            yield of_this_piece | {
                player: show(made, audio.gain, total=command.expect(step)),
                caption: show_caption(step, made.title, made.seed, made.note, left),
                piece: made,
            }
            of_this_piece = {}

    def finish(made: Piece | None, *, is_stopped: bool = False) -> dict[Any, Any]:
        """Render the rest, write the files, and show everything."""
        if made is None or made.is_saved or not made.step.bars:
            return {piece: gr.skip()}
        made = made.complete()
        audio = PieceAudio(new_file, room.settings.soundfont, made.chunks, made.rendered)
        audio.add(made.step)
        files = save(made.step, made.recipe, new_file, audio.play(made.step))
        made = replace(made, chunks=audio.chunks, rendered=audio.seconds, is_saved=True)
        # After a Stop, the page adds that to the caption itself.
        said = (
            {}
            if is_stopped
            else {
                caption: show_caption(
                    made.step, made.title, made.seed, made.note, remark=made.remark
                )
            }
        )
        return said | {
            player: show(made, files.gain),
            piece: made,
            tokens: show_bars(made.step),
            recipe_shown: made.recipe,
            wav: gr.update(value=str(files.wav), label="Download sound (WAV)", interactive=True),
            midi: gr.update(value=str(files.midi), interactive=True),
        }

    with tab_columns() as columns:
        with columns.controls:
            control, buttons = TuneControl.create(lambda: RunButtons.create("Compose"))
            with gr.Accordion("Model", open=False):
                model = choose_model(room.catalog, "music", keep=lambda spec: not is_musicgen(spec))
        with columns.exhibit:
            player = create_player(show(example, 1.0, autoplay=False))
            caption = gr.HTML(
                show_caption(example.step, example.title, example.seed)
                + "<br>A finished example. Press ▶ to hear it, or Compose for a new one.",
                **CAPTION,
            )
            with gr.Row(elem_classes="pairs"):
                wav = gr.DownloadButton("Download sound (MP3)", str(EXAMPLE_SOUND), size="sm")
                midi = gr.DownloadButton(
                    "Download notes (MIDI)", str(HERE / "example.mid"), size="sm"
                )
            piece = gr.State(example)
            command = gr.State(ComposeCommand())
            write_down = create_sheet(piece)
            change = create_change(control, piece, command)
    with gr.Accordion("Look inside", open=False):
        gr.Markdown(
            "What the model wrote, token by token, each coloured by the probability it "
            "had: the stronger the colour, the surer. Point at one to see the figure. Positions "
            "and durations are parts of a whole note. It writes every tune in C; the key you "
            "asked for is set afterwards. In italics before them, in your key: the chords that a "
            "rule found for the melody. The model knows nothing of those."
        )
        tokens = gr.HTML(show_bars(example.step), max_height=480)
        recipe_shown = gr.JSON(example.recipe, label="Recipe: the same recipe, the same tune")

    outcome = [player, caption, piece, tokens, recipe_shown, wav, midi]
    buttons.run.click(lambda last: ComposeCommand(last.number + 1), command, command, **QUEUED)
    control.description.submit(
        lambda last: ComposeCommand(last.number + 1), command, command, **QUEUED
    )
    done, stopped = wire_generation(
        buttons,
        compose,
        [command, model, *control.inputs],
        [player, caption, piece, control.seed.used, wav, midi],
        caption=caption,
        begin=[command.change],
    )
    for event, is_stopped in ((done, False), (stopped, True), *((one, False) for one in change)):
        finished = event.then(
            say_errors(partial(finish, is_stopped=is_stopped)), piece, outcome, **QUEUED
        )
        write_down(finished)
    create_endpoint(room)


def show(piece: Piece, gain: float, *, total: float = 0.0, autoplay: bool = True) -> str:
    """Return the player data of ``piece``, which is expected to last ``total`` seconds."""
    return show_player(
        piece.step,
        piece.chunks,
        key=piece.key,
        rendered=piece.rendered,
        total=max(total, piece.step.arrangement.seconds),
        gain=gain,
        autoplay=autoplay,
    )


def make_example(room: Room) -> None:
    """Compose the example that is shown first, from the first preset, and write its files."""
    import soundfile

    request = MusicRequest.parse(description=EXAMPLE, seed=EXAMPLE_SEED)
    step = room.finish(generate_music, BUNDLED, request)
    with tempfile.TemporaryDirectory() as folder:
        audio = PieceAudio(Path(folder).joinpath)
        audio.add(step)
        sound = audio.play(step)
    sound *= np.float32(find_gain(sound, SAMPLE_RATE))
    soundfile.write(EXAMPLE_SOUND, sound, SAMPLE_RATE, compression_level=0.7)
    recipe = room.recipe(BUNDLED, request)
    (HERE / "example.mid").write_bytes(write_midi(step, recipe))
    data = {
        "recipe": recipe,
        "title": room.spec(BUNDLED).title,
        "measures": write_measures(bar.measure for bar in step.bars),
        "bars": [[bar.tune, [list(asdict(t).values()) for t in bar.tokens]] for bar in step.bars],
    }
    (HERE / "example.json").write_text(json.dumps(data) + "\n", encoding="utf-8")


def load_example() -> Piece:
    """Read what ``make_example`` wrote."""
    data = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
    bars = tuple(
        Bar(tune, tuple(NoteToken(*token) for token in tokens), measure)
        for (tune, tokens), measure in zip(
            data["bars"], read_measures(data["measures"]), strict=True
        )
    )
    settings = data["recipe"]["settings"]
    step = MusicStep(MusicRequest.parse(**settings, seed=0).controls, bars)
    sound = Chunk(0.0, Path("rooms/music") / EXAMPLE_SOUND.name, 1.0)
    seconds = step.arrangement.seconds
    return Piece(
        step, data["title"], data["recipe"], chunks=(sound,), rendered=seconds, is_saved=True
    )
