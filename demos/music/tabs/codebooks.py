"""A look inside MusicGen: the sampling order of the tokens, and what each codebook adds."""

from __future__ import annotations

import html
from collections.abc import Generator
from typing import Any

import gradio as gr

from demos.music.codebooks import LONGEST_SECONDS, decode_layers
from demos.music.musicgen import MusicGenStep
from demos.music.show_codebooks import show_layers, show_pattern
from shared.errors import InvalidRequest
from shared.limits import QUEUES
from shared.room import Room, Waiting
from shared.sounds import save_wav
from shared.ui.events import say_errors
from shared.ui.files import new_file

ORDER = """
**What you see above** are the model's own words: numbers from small tables of sounds, called
codebooks. Each column is a fiftieth of a second. The first codebook says roughly what sounds in it;
each further one describes what is still missing, which is why the technique is called *residual*
quantisation. A second network, EnCodec, turns the numbers into sound.

**In which order?** To draw one frame's four tokens one after the other would take four times as
many steps. To draw them together would leave each ignorant of the others. MusicGen shifts every
codebook one step to the right of the one before: at each step it draws one token of four
*different* frames, and what is fine has always heard what is coarse.
"""


def create_codebooks(room: Room, made: gr.State) -> gr.HTML:
    """Add the section to the current block; return the component that shows the sampling order.

    Args:
        room: Runs the models.
        made: State with the ``(model, step)`` that the visitor has generated, or None.
    """

    def listen(generated: tuple[str, MusicGenStep] | None) -> Generator[Any, None, None]:
        if generated is None:
            raise InvalidRequest("There is nothing to take apart yet. Make some music first.")
        model, step = generated
        layers, files = [], {}
        seconds = 5 + LONGEST_SECONDS
        for layer in room.run(decode_layers, model, step.codes, seconds=seconds, every=0):
            if isinstance(layer, Waiting):
                yield f'<p class="caption">{html.escape(layer.text)} …</p>'
                continue
            layers.append(layer)
            name = "-".join(str(level + 1) for level in layer.levels)
            files[layer.levels] = new_file(f"codebooks-{name}.wav")
            save_wav(layer.sound, files[layer.levels])
            yield show_layers(layers, files)

    gr.Markdown(ORDER)
    order = gr.HTML(show_pattern(), padding=False)
    gr.Markdown(
        "**What does each codebook add?** Hear the first one alone, then the others joining in. "
        f"Only the first {LONGEST_SECONDS:.0f} seconds are decoded."
    )
    press = gr.Button("Hear the codebooks", size="sm")
    players = gr.HTML("", padding=False)
    press.click(
        say_errors(listen),
        made,
        players,
        concurrency_id="generation",
        concurrency_limit=QUEUES["generation"],
        show_progress="hidden",
        api_visibility="private",
    )
    return order
