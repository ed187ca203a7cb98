"""Look inside a drawing: its film, which words paint what, the prompt as tokens, the recipe."""

from __future__ import annotations

import html
import json
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import gradio as gr

from demos.image.attention import attention_maps
from demos.image.generate import Film, ImageRequest, ImageStep, decode_frame
from demos.image.show import show_words
from demos.image.show_attention import BEHAVIOUR, NO_MAPS, show_attention
from demos.image.show_film import answer_frames, make_film, may_decode_all
from shared.errors import InvalidRequest
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.events import QUICK, wire_generation
from shared.ui.layout import CAPTION

FILM_SCRIPT = """
const start = ({ mount }) => mount(element, { trigger, watch, props });
import(new URL("rooms/image/film.js", document.baseURI)).then(start);
"""


@dataclass(frozen=True)
class Drawn:
    """The last drawing of a visitor, kept on the server for "Look inside".

    Attributes:
        run: A name that no other drawing has.
        model: What drew it.
        request: What was asked for.
        film: Every step of it.
    """

    run: str
    model: str
    request: ImageRequest
    film: Film


@dataclass(frozen=True)
class Inside:
    """The components that a drawing fills."""

    film: gr.HTML
    heat: gr.HTML
    words: gr.HTML
    recipe: gr.JSON
    drawn: gr.State

    @property
    def outputs(self) -> list[Any]:
        """All of them, as outputs of an event."""
        return [self.film, self.heat, self.words, self.recipe, self.drawn]

    def forget(self, step: ImageStep) -> dict[Any, Any]:
        """Return the values of those that a live picture changes; it has no film."""
        note = {"note": "Pictures that follow your typing have no film. Press Draw for one."}
        return {
            self.film: json.dumps(note),
            self.heat: NO_MAPS,
            self.words: show_words(step.words),
            self.drawn: False,
        }

    def show(
        self, model: str, request: ImageRequest, step: ImageStep, recipe: dict[str, Any]
    ) -> dict[Any, Any]:
        """Return the values of all of them for a finished drawing."""
        drawn = Drawn(uuid.uuid4().hex, model, request, step.film)
        film = make_film(drawn.run, step.film, request.seeds, step.images)
        return {
            self.film: json.dumps(film),
            self.heat: NO_MAPS,
            self.words: show_words(step.words),
            self.recipe: recipe,
            self.drawn: drawn,
        }


def create_inside(room: Room, example: dict[str, Any]) -> Inside:
    """Add the fold to the current place, filled with ``example`` (film, words and recipe)."""
    with gr.Column(elem_classes="inside"), gr.Accordion("Look inside", open=False) as fold:
        gr.Markdown(
            "**Every step.** Left, what there is after each step; in the middle, what the network "
            "believes the picture will be; right, the latents, which is all it ever sees. Move the "
            "slider. The curve is the scheduler's plan: how much noise is left when."
        )
        film = gr.HTML(
            None,
            html_template="",
            js_on_load=FILM_SCRIPT,
            apply_default_css=False,
            elem_classes="diffusion-film",
        )
        gr.Markdown(
            "**Which words paint what.** Draws the (first) picture once more and notes, at every "
            "step, how much each place of it attends to each word (cross-attention)."
        )
        buttons = RunButtons.create("Show which words paint what")
        heat = gr.HTML(NO_MAPS, js_on_load=BEHAVIOUR, padding=False)
        heat_caption = gr.HTML("", **CAPTION)
        gr.Markdown(
            "**The prompt as the model reads it.** Each box is a word. Most are one token, a "
            "number to the model; dashed ones have none of their own, so they are spelled out in "
            "several (the tab *Parts* shows which) and mean little to it. What does not fit is "
            "struck out and never read."
        )
        words = gr.HTML(example["words"], elem_classes="words", padding=False)
        with gr.Accordion(
            "Recipe: the same recipe gives the same picture (of several, the first)", open=False
        ):
            recipe = gr.JSON(example["recipe"], show_label=False)
    drawn = gr.State(None)  # a Drawn; False after a live picture, which has no film

    def show_heat(drawn: Drawn | Literal[False] | None) -> Generator[Any, None, None]:
        if not drawn:
            raise InvalidRequest("Press Draw first: then this shows how its words were used.")
        alone = drawn.request.model_copy(update={"num_images": 1})
        seconds = 10 + alone.num_inference_steps
        for step in room.run(attention_maps, drawn.model, alone, seconds=seconds):
            if isinstance(step, Waiting):
                yield step
                continue
            done = f"step {step.drawing.index} of {step.drawing.total}"
            line = html.escape(f"“{alone.prompt}”, seed {alone.seed} · {done}")
            shown: dict[Any, Any] = {heat_caption: line}
            if step.maps:
                shown[heat] = show_attention(step.maps, step.drawing.images[0])
            yield shown

    def decode(drawn: Drawn | Literal[False] | None, event: gr.EventData) -> Any:
        wanted = event._data if isinstance(event._data, dict) else {}
        if not drawn or wanted.get("run") != drawn.run:
            return gr.skip()  # of a drawing that is no longer there
        every = range(len(drawn.film.frames) - 1)  # the last is there already
        if not isinstance(index := wanted.get("frame"), int) or index not in every:
            return gr.skip()
        frames = list(every) if may_decode_all(drawn.film) else [index]
        with room.cache.lease(drawn.model, room.holder) as pipeline:
            exact = partial(decode_frame, pipeline)
            return json.dumps(answer_frames(drawn.run, drawn.film, frames, exact))

    # The example's film is not small, so it comes when somebody looks.
    fold.expand(
        lambda drawn: json.dumps(example["film"]) if drawn is None else gr.skip(),
        drawn,
        film,
        **QUICK,
    )
    film.input(
        decode,
        drawn,
        film,
        trigger_mode="always_last",
        concurrency_limit=4,
        show_progress="hidden",
        api_visibility="private",
    )
    wire_generation(buttons, show_heat, [drawn], [heat, heat_caption], caption=heat_caption)
    return Inside(film, heat, words, recipe, drawn)
