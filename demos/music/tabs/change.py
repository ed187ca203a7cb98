"""Buttons that continue, vary or replay the piece on display, or open a MIDI file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from demos.music.generate import MusicRequest
from demos.music.piece import (
    ComposeCommand,
    Piece,
    command_bars,
    command_more,
    command_variation,
    open_midi,
    play_so,
)
from demos.music.tabs.controls import TuneControl
from shared.errors import InvalidRequest
from shared.ui.events import QUEUED, say_errors


def create_change(control: TuneControl, piece: gr.State, command: gr.State) -> list[Any]:
    """Add the buttons to the current column.

    Buttons that compose change ``command``. The others change ``piece`` at once; the caller has to
    render it.

    Returns:
        The events after which the piece has to be rendered.
    """
    with gr.Row(elem_classes="seed-row"):
        more = gr.Button("Continue", size="sm", min_width=90)
        otherwise = gr.Button("Play it with these settings", size="sm", min_width=150)
        upload = gr.UploadButton(
            "Open a MIDI file", file_types=[".mid", ".midi"], size="sm", min_width=120
        )
    with gr.Accordion("Vary it", open=False):
        with gr.Row(elem_classes="seed-row"):
            keep = gr.Number(8, label="Keep the first bars", precision=0, min_width=110)
            vary = gr.Button("Compose the rest anew", size="sm", min_width=130)
        with gr.Row(elem_classes="seed-row"):
            first = gr.Number(5, label="From bar", precision=0, min_width=80)
            last = gr.Number(6, label="to bar", precision=0, min_width=80)
            again = gr.Button("Another version of these", size="sm", min_width=130)

    def ask(make: Callable[..., ComposeCommand]) -> Callable[..., ComposeCommand]:
        def asked(last: ComposeCommand, made: Piece | None, *numbers: Any) -> ComposeCommand:
            if made is None or not made.step.bars:
                raise InvalidRequest("There is nothing to go on from yet. Compose a tune first.")
            if None in numbers:
                raise InvalidRequest("The number of a bar is missing.")
            return replace(make(made, *numbers), number=last.number + 1)

        return say_errors(asked)

    def play(made: Piece | None, *values: Any) -> Piece:
        if made is None or not made.step.bars:
            raise InvalidRequest("There is nothing to play yet. Compose a tune first.")
        return play_so(made, MusicRequest.parse(**TuneControl.read(*values)).controls)

    def open_file(path: str, *values: Any) -> dict[Any, Any]:
        chosen = TuneControl.read(*values)
        opened = open_midi(path, MusicRequest.parse(**chosen).controls)
        # The description on the page does not belong to the file.
        settings = opened.recipe.get("settings", chosen | {"description": ""})
        played = opened.recipe.get("played", {})
        asked = MusicRequest.parse(**settings).model_copy(update=played)
        return {piece: opened, control.seed.used: opened.seed, **control.show(asked)}

    more.click(ask(command_more), [command, piece], command, **QUEUED)
    vary.click(ask(command_variation), [command, piece, keep], command, **QUEUED)
    again.click(ask(command_bars), [command, piece, first, last], command, **QUEUED)
    played = otherwise.click(say_errors(play), [piece, *control.inputs], piece, **QUEUED)
    opened = upload.upload(
        say_errors(open_file),
        [upload, *control.inputs],
        [piece, control.seed.used, *control.shown],
        **QUEUED,
    )
    return [played, opened]
