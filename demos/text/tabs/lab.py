"""Next token: what could come next, what the controls make of it, and writing by hand."""

from __future__ import annotations

import html
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.lab import LabRequest, Prediction, predict_next
from demos.text.payload import to_payload
from demos.text.run import BUNDLED
from demos.text.show_lab import show_prediction
from shared.room import Room, Waiting, once
from shared.ui.controls import RunButtons, SeedControl
from shared.ui.events import LIVE, say_errors, wire_generation
from shared.ui.layout import CAPTION, tab_columns

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
class LabState:
    """What the tab shows to a visitor.

    Attributes:
        model: Key of the model that was asked.
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

    def ask(text: str, state: LabState | None, **values: Any) -> LabRequest:
        # Added tokens stay what they are, unless the visitor has written something else.
        if state and state.text == text:
            values = {"text": state.written, "made": state.made, **values}
        return LabRequest.parse(**{"text": text, **values})

    def show_result(model: str, request: LabRequest, look: Prediction) -> dict[Any, Any]:
        return {
            exhibit: to_payload(show_prediction(look)),
            state: LabState(model, request.text, look.made, look.text),
            caption: f"<b>{html.escape(room.spec(model).title)}</b>",
        }

    def show(model: str, text: str, state: LabState | None) -> Generator[Any, None, None]:
        request = ask(text, state)
        for look in room.run(once(predict_next), model, request, seconds=SECONDS):
            if isinstance(look, Waiting):
                yield look
            else:
                yield show_result(model, request, look)

    def follow(model: str, text: str, state: LabState | None) -> Any:
        # Larger models take their time: the button asks them.
        if not room.spec(model).bundled or (state and state.text == text):
            return {exhibit: gr.skip()}
        request = ask(text, None)
        look = room.finish(once(predict_next), model, request, seconds=SECONDS)
        return show_result(model, request, look)

    def act(
        model: str, text: str, state: LabState | None, seed: float, event: gr.EventData
    ) -> dict[Any, Any]:
        action = event._data if isinstance(event._data, dict) else {}
        at = state.model if state else model  # which is loaded
        if action.get("action") == "undo":
            made = state.made[:-1] if state and state.text == text else ()
            request = ask(text, state, made=made)
        else:
            named = ("action", "token", "temperature", "top_k", "top_p", "min_p")
            request = ask(text, state, seed=seed, **{name: action.get(name) for name in named})
        look = room.finish(once(predict_next), at, request, seconds=SECONDS)
        return show_result(at, request, look) | {prompt: look.text, dice.used: request.seed}

    with tab_columns() as columns:
        with columns.controls:
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
        with columns.exhibit:
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
    state = gr.State(None)
    wire_generation(
        buttons,
        show,
        [model, prompt, state],
        [exhibit, state, caption],
        caption=caption,
        also=[prompt.submit],
    )
    prompt.change(say_errors(follow), [model, prompt, state], [exhibit, state, caption], **LIVE)
    exhibit.input(
        say_errors(act),
        [model, prompt, state, dice.seed],
        [exhibit, state, caption, prompt, dice.used],
        **{**LIVE, "trigger_mode": "once"},
    )


def read_example() -> str | None:
    """What the tab shows at first, if it has been made."""
    return EXAMPLE.read_text(encoding="utf-8").strip() if EXAMPLE.is_file() else None


def make_example(room: Room) -> None:
    """Write what the tab shows at first."""
    look = room.finish(once(predict_next), BUNDLED, LabRequest.parse(text=TEXTS[0]))
    EXAMPLE.parent.mkdir(exist_ok=True)
    EXAMPLE.write_text(to_payload(show_prediction(look)) + "\n", encoding="utf-8")
