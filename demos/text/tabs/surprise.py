"""Surprise: a visitor's own text, coloured by how little the model expected it."""

from __future__ import annotations

import html
import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.payload import to_payload
from demos.text.run import BUNDLED
from demos.text.show_surprise import show_figures, show_tokens
from demos.text.surprise import SurpriseRequest, measure_surprise
from demos.text.tokens import MAX_TEXT
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import wire_generation
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "surprise.json"
TALE = (
    "There was once a poor woodcutter who lived with his wife and his two children on the edge of "
    "a great forest. One evening, as they sat by the fire, there came a knock at the door, and an "
    "old woman asked whether she might rest for the night."
)
TEXTS = [
    TALE,
    "woodcutter the on poor lived edge children who a wife of There his and once his with great "
    "a forest was two. fire, sat the evening, One they as by door, knock there a and at the came "
    "night. old whether rest woman the she an asked for might",
    "My phone's battery died on the train, so I couldn't show the conductor the ticket app.",
    "numbers = [n ** 2 for n in range(10) if n % 2 == 0]",
]
SCRIPT = """
const start = ({ mount }) => mount(element, { watch, props });
import(new URL("rooms/text/surprise.js", document.baseURI)).then(start);
"""


def create_surprise(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def show(model: str, text: str) -> Generator[Any, None, None]:
        request = SurpriseRequest.parse(text=text[:MAX_TEXT])
        spec = room.spec(model)
        seconds = 5 + len(request.text) / 1000
        # The text is sent whole each time, so a few times a second is enough.
        for surprise in room.run(measure_surprise, model, request, seconds=seconds, every=0.4):
            if isinstance(surprise, Waiting):
                yield surprise
                continue
            said = f"<b>{html.escape(spec.title)}</b>"
            if not surprise.done:
                said += f" · {len(surprise.judged):,} of {surprise.total:,} tokens"
            if len(text) > MAX_TEXT:
                said += (
                    f" · only the first {MAX_TEXT:,} of {len(text):,} characters: paste the rest "
                    "on its own"
                )
            yield to_payload(show_tokens(surprise)), show_figures(surprise), said

    tokens, shown = read_example()
    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(TALE, label="A text of yours", lines=7, max_lines=16)
            buttons = RunButtons.create("How surprising is it?")
            gr.Examples([[text] for text in TEXTS], [prompt], label="Texts to try")
            gr.HTML(
                "A token to which the model gave a chance of one half is a surprise of 1 bit; one "
                "in a thousand, about 10 bits. Try the tale, and then the same words shuffled: "
                "each word is as common as before, and none is where it belongs.",
                **CAPTION,
            )
        with columns.exhibit:
            exhibit = gr.HTML(
                tokens,
                html_template="",
                js_on_load=SCRIPT,
                apply_default_css=False,
                elem_classes="surprise",
            )
            figures = gr.HTML(shown, elem_classes="surprise", padding=False)
            caption = gr.HTML(
                "A finished example, by Storyteller. Put a text of yours in its place; press a "
                "token to see what "
                "was expected there.",
                **CAPTION,
            )
    wire_generation(buttons, show, [model, prompt], [exhibit, figures, caption], caption=caption)


def read_example() -> tuple[str | None, str]:
    """What the tab shows at first, if it has been made."""
    if not EXAMPLE.is_file():
        return None, ""
    example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return to_payload(example["tokens"]), example["figures"]


def make_example(room: Room) -> None:
    """Write what the tab shows at first."""
    request = SurpriseRequest.parse(text=TALE)
    surprise = room.finish(measure_surprise, BUNDLED, request)
    EXAMPLE.parent.mkdir(exist_ok=True)
    example = {"tokens": show_tokens(surprise), "figures": show_figures(surprise)}
    EXAMPLE.write_text(to_payload(example) + "\n", encoding="utf-8")
