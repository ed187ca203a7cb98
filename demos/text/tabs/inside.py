"""Inside: a text as tokens, where each head looks, what each layer would have said."""

from __future__ import annotations

import html
from collections.abc import Generator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.inside import InsideRequest, look_inside
from demos.text.payload import to_payload
from demos.text.run import BUNDLED
from demos.text.show_inside import describe_reading, show_inside
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import wire_generation
from shared.ui.layout import CAPTION, tab_columns

EXAMPLE = Path(__file__).parents[1] / "examples" / "inside.json"
TEXTS = [
    "The queen took the golden ring and gave it to her daughter. The daughter put the ring on her",
    "The fox saw the raven. “What a fine voice you have,” said the",
    "Grüße aus Zürich 🦊, naïve café",
    "for i in range(10):\n    print(i)",
]
SCRIPT = """
const start = ({ mount }) => mount(element, { watch, props });
import(new URL("rooms/text/inside.js", document.baseURI)).then(start);
"""


def create_inside(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def show(model: str, text: str) -> Generator[Any, None, None]:
        request = InsideRequest.parse(text=text)
        spec = room.spec(model)
        name = f"<b>{html.escape(spec.title)}</b>"
        for step in room.run(look_inside, model, request):
            if isinstance(step, Waiting):
                yield step
                continue
            if step.inside:
                said = f"{name} · {describe_reading(step.inside, text)}"
                yield {exhibit: to_payload(show_inside(step.inside)), caption: said}
            else:
                left = f'<span class="left"> · layer {step.done} of {step.total}</span>'
                yield {caption: name + left}

    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(TEXTS[0], label="A text to read", lines=4, max_lines=12)
            buttons = RunButtons.create("Look inside")
            gr.Examples([[text] for text in TEXTS], [prompt], label="Texts to try")
        with columns.exhibit:
            exhibit = gr.HTML(
                read_example(),
                html_template="",
                js_on_load=SCRIPT,
                apply_default_css=False,
                elem_classes="text-inside",
            )
            caption = gr.HTML(
                "A finished example, by Storyteller. Choose tokens and layers, or write "
                "something else.",
                **CAPTION,
            )
    wire_generation(
        buttons,
        show,
        [model, prompt],
        [exhibit, caption],
        caption=caption,
        also=[prompt.submit],
    )


def read_example() -> str | None:
    """What the tab shows at first, if it has been made."""
    return EXAMPLE.read_text(encoding="utf-8").strip() if EXAMPLE.is_file() else None


def make_example(room: Room) -> None:
    """Write what the tab shows at first."""
    request = InsideRequest.parse(text=TEXTS[0])
    last = room.finish(look_inside, BUNDLED, request)
    assert last.inside  # nobody stopped it
    EXAMPLE.parent.mkdir(exist_ok=True)
    EXAMPLE.write_text(to_payload(show_inside(last.inside)) + "\n", encoding="utf-8")
