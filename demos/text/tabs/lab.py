"""Next token: what could come next, what the controls make of it, and writing by hand."""

from __future__ import annotations

import html
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.lab import LabRequest, Look, look_ahead
from demos.text.payload import to_payload
from demos.text.run import BUNDLED
from demos.text.show_lab import show_look
from shared.room import Room, Waiting, once
from shared.ui.controls import RunButtons, SeedControl
from shared.ui.events import LIVE, say_errors, wire_generation
from shared.ui.layout import CAPTION, tab_floor

EXAMPLE = Path(__file__).parents[1] / "examples" / "lab.json"
TEXTS = [
    "Once upon a time there was a little fox who",
    "The king said to his daughter: “",
    "Twinkle, twinkle, little",
    "The capital of France is",
]
SECONDS = 5.0  # of a graphics card
SCRIPT = """
const start = ({ mount }) => mount(element, { trigger, watch, props });
import(new URL("rooms/text/lab.js", document.baseURI)).then(start);
"""


@dataclass(frozen=True)
class Desk:
    """What a visitor has before them.

    Attributes:
        model: That looked.
        written: The text without the tokens that were added to it one by one.
        made: Ids of those.
        text: All of it.
    """

    model: str
    written: str
    made: tuple[int, ...]
    text: str


def create_lab(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""

    def ask(text: str, desk: Desk | None, **values: Any) -> LabRequest:
        # Added tokens stay what they are, unless the visitor has written something else.
        if desk and desk.text == text:
            values = {"text": desk.written, "made": desk.made, **values}
        return LabRequest.parse(**{"text": text, **values})

    def show_look_of(model: str, request: LabRequest, look: Look) -> dict[Any, Any]:
        return {
            exhibit: to_payload(show_look(look)),
            desk: Desk(model, request.text, look.made, look.text),
            caption: f"<b>{html.escape(room.spec(model).title)}</b>",
        }

    def show(model: str, text: str, desk: Desk | None) -> Generator[Any, None, None]:
        request = ask(text, desk)
        for look in room.run(once(look_ahead), model, request, seconds=SECONDS):
            if isinstance(look, Waiting):
                yield look
            else:
                yield show_look_of(model, request, look)

    def follow(model: str, text: str, desk: Desk | None) -> Any:
        # Larger models take their time: the button asks them.
        if not room.spec(model).bundled or (desk and desk.text == text):
            return {exhibit: gr.skip()}
        request = ask(text, None)
        look = room.finish(once(look_ahead), model, request, seconds=SECONDS)
        return show_look_of(model, request, look)

    def act(
        model: str, text: str, desk: Desk | None, seed: float, event: gr.EventData
    ) -> dict[Any, Any]:
        wish = event._data if isinstance(event._data, dict) else {}
        at = desk.model if desk else model  # which is loaded
        if wish.get("wish") == "undo":
            made = desk.made[:-1] if desk and desk.text == text else ()
            request = ask(text, desk, made=made)
        else:
            named = ("wish", "token", "temperature", "top_k", "top_p", "min_p")
            request = ask(text, desk, seed=seed, **{name: wish.get(name) for name in named})
        look = room.finish(once(look_ahead), at, request, seconds=SECONDS)
        return show_look_of(at, request, look) | {prompt: look.text, dice.used: request.seed}

    with tab_floor() as floor:
        with floor.controls:
            prompt = gr.Textbox(
                TEXTS[0],
                label="The beginning",
                info="Empty, it asks how a text begins",
                lines=4,
                max_lines=12,
            )
            buttons = RunButtons.create("What could come next?")
            gr.Examples([[text] for text in TEXTS], [prompt], label="Beginnings to try")
            dice = SeedControl.create()
        with floor.exhibit:
            exhibit = gr.HTML(
                read_example(),
                html_template="",
                js_on_load=SCRIPT,
                apply_default_css=False,
                elem_classes="lab",
            )
            caption = gr.HTML(
                "A finished example, by Storyteller. Move the controls, press a bar, or write "
                "something else.",
                **CAPTION,
            )
    desk = gr.State(None)
    wire_generation(
        buttons,
        show,
        [model, prompt, desk],
        [exhibit, desk, caption],
        caption=caption,
        also=[prompt.submit],
    )
    prompt.change(say_errors(follow), [model, prompt, desk], [exhibit, desk, caption], **LIVE)
    exhibit.input(
        say_errors(act),
        [model, prompt, desk, dice.seed],
        [exhibit, desk, caption, prompt, dice.used],
        **{**LIVE, "trigger_mode": "once"},
    )


def read_example() -> str | None:
    """What the tab shows at first, if it has been made."""
    return EXAMPLE.read_text(encoding="utf-8").strip() if EXAMPLE.is_file() else None


def make_example(room: Room) -> None:
    """Write what the tab shows at first."""
    look = room.finish(once(look_ahead), BUNDLED, LabRequest.parse(text=TEXTS[0]))
    EXAMPLE.parent.mkdir(exist_ok=True)
    EXAMPLE.write_text(to_payload(show_look(look)) + "\n", encoding="utf-8")
