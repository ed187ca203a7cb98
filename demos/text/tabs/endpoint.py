"""The text room's public endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from demos.text.generate import ChatRequest, TextRequest
from demos.text.run import BUNDLED, run_text
from shared.room import Room, Waiting
from shared.ui.endpoints import add_endpoint, create_list

# What every program needs, then what makes a recipe of the page complete.
NAMES = (
    *("prompt", "max_new_tokens", "temperature", "top_k", "top_p", "seed"),
    *("min_p", "repetition_penalty", "keep_end", "as_message"),
)


def create_endpoint(room: Room) -> None:
    """Publish ``generate_text``."""

    def answer(
        prompt: str,
        model: str,
        max_new_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int,
        min_p: float,
        repetition_penalty: float,
        keep_end: bool,
        as_message: bool,
        begun: list[int],
        turns: list[dict[str, str]],
    ) -> Iterator[Any]:
        """Continue a prompt with a language model, or have an instructed one answer it, streaming.

        Args:
            prompt: Text to continue or to answer, at most 20,000 characters.
            model: Key from list_models, such as text/storyteller.
            max_new_tokens: Tokens to add, 1 to 400.
            temperature: 0 (always the likeliest token) to 2.
            top_k: Sample among this many likeliest tokens; 0 (all) to 200.
            top_p: Sample among the likeliest tokens with this total probability, 0.05 to 1.
            seed: Same seed, same text; -1 draws one.
            min_p: Leave out tokens with less than this share of the likeliest one's probability,
                0 to 0.5.
            repetition_penalty: Makes tokens already in the text less likely, 1 (none) to 2.
            keep_end: Read the end of a prompt that is too long for the model, instead of refusing.
            as_message: Give the prompt as a message to a model that was trained to answer.
            begun: Ids of tokens that the continuation begins with.
            turns: A conversation instead of a prompt, each turn with a role (system, user,
                assistant) and content, the last one the user's.

        Returns:
            The text so far, without the prompt, and the recipe with the seed that was used.
        """
        settings: dict[str, Any] = {"prompt": prompt}
        if turns:
            settings = {"prompt": "", "turns": turns}
        request = (ChatRequest if turns else TextRequest).parse(
            **settings,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            min_p=min_p,
            repetition_penalty=repetition_penalty,
            keep_end=keep_end,
            as_message=as_message,
            begun=begun,
        )
        recipe = room.recipe(model, request)
        text = ""
        for step in run_text(room, model, request):
            if not isinstance(step, Waiting):
                text = step.text
            yield text, recipe
        yield text, recipe  # also where the model thinks that the text is complete

    defaults = {name: TextRequest.model_fields[name].default for name in NAMES}
    defaults |= {"as_message": True}
    defaults["begun"] = create_list("begun", {"type": "integer"})
    defaults["turns"] = create_list("turns", {"type": "object"})
    add_endpoint(
        "generate_text",
        answer,
        {"prompt": defaults.pop("prompt"), "model": BUNDLED, **defaults},
        [gr.Textbox(label="text", visible=False), gr.JSON(label="recipe", visible=False)],
    )
