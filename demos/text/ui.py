"""The text room's page. Run it alone with ``python -m demos.text.ui``."""

from __future__ import annotations

import html
import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demos.text.generate import TextRequest, TextStep, Token, generate_text
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.recipes import Recipe
from shared.serve import run_alone
from shared.settings import Settings
from shared.ui import (
    CAPTION,
    RunButtons,
    SeedControl,
    add_endpoint,
    choose_model,
    create_room,
    create_slider,
    in_turn,
    stop_on_exit,
    throttle,
    wake,
    wire_generation,
)
from shared.zero_gpu import on_gpu

HERE = Path(__file__).parent
EXAMPLES = [
    "Once upon a time there was a little fox who",
    "The princess opened the golden box, and inside she found",
    "The owl and the kitten went off in a boat,\n",
    '"Who are you?" said the giant.',
    "In the garden behind the old house lived",
]
EXAMPLE_SEED = 7
HOLDER = "the text room"
WALL_LABEL = (
    "A language model writes one token at a time: it reads all that stands there, gives every "
    "token in its vocabulary a probability, draws one, and begins again. It has no plan and "
    "checks no facts; it has only seen which words tend to follow which."
)


def create_demo(cache: ModelCache, settings: Settings) -> gr.Blocks:
    """Build the text room."""
    catalog = Catalog(settings)

    @in_turn
    @on_gpu(catalog, settings, lambda request: 5 + request.max_new_tokens / 20)
    def stream(model: str, request: TextRequest) -> Iterator[TextStep]:
        with cache.lease(model, HOLDER) as language_model, stop_on_exit() as stop:
            yield from throttle(generate_text(language_model, request, stop))

    def show_on_page(prompt: str, model: str, *numbers: Any) -> Generator[Any, None, None]:
        request = TextRequest.parse(prompt=prompt, **TextRequest.name_numbers(*numbers))
        spec = catalog.get(model, "text")
        yield from wake(cache, spec)
        recipe = Recipe.of(spec, request, settings).to_dict()

        def show(step: TextStep) -> tuple[Any, ...]:
            caption = f"<b>{spec.title}</b> · {len(step.tokens)} tokens · seed {request.seed}"
            text, tokens = show_text(prompt, step.text), show_tokens(step.tokens)
            return text, caption, tokens, request.seed, recipe

        step = None
        for step in stream(model, request):
            yield show(step)
        if step is None:  # the model thinks that the text is complete
            yield show(TextStep("", ()))

    def answer(
        prompt: str,
        model: str,
        max_new_tokens: int,
        temperature: float,
        top_k: int,
        top_p: float,
        seed: int,
    ) -> Iterator[Any]:
        """Continue a prompt with a language model, streaming.

        Args:
            prompt: Text to continue, at most 20,000 characters.
            model: Key from list_models, such as text/storyteller.
            max_new_tokens: Tokens to add, 1 to 400.
            temperature: 0 (always the likeliest token) to 2.
            top_k: Sample among this many likeliest tokens; 0 (all) to 200.
            top_p: Sample among the likeliest tokens with this total probability, 0.05 to 1.
            seed: Same seed, same text; -1 draws one.

        Returns:
            The text so far, without the prompt, and the recipe with the seed that was used.
        """
        request = TextRequest.parse(
            prompt=prompt,
            max_new_tokens=max_new_tokens,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        spec = catalog.get(model, "text")
        recipe = Recipe.of(spec, request, settings).to_dict()
        for _ in wake(cache, spec):
            yield "", recipe
        for step in stream(model, request):
            yield step.text, recipe

    example = load_example()
    with gr.Blocks(title="Text · Generative Gallery") as demo:
        with create_room("text", "One token after another", WALL_LABEL, HERE / "lesson.md") as room:
            with room.controls:
                prompt = gr.Textbox(
                    EXAMPLES[0],
                    label="Begin a story or a poem",
                    lines=4,
                    max_lines=12,
                    max_length=20_000,
                )
                buttons = RunButtons.create("Write")
                gr.Examples([[text] for text in EXAMPLES], [prompt], label="Beginnings to try")
                model = choose_model(catalog, "text")
                temperature = create_slider(
                    TextRequest,
                    "temperature",
                    step=0.05,
                    info="Low repeats what is likely, high takes risks",
                )
                with gr.Accordion("More settings", open=False):
                    length = create_slider(
                        TextRequest, "max_new_tokens", step=1, label="Length in tokens"
                    )
                    top_k = create_slider(
                        TextRequest,
                        "top_k",
                        step=1,
                        info="Choose among this many likeliest tokens; 0 means all",
                    )
                    top_p = create_slider(
                        TextRequest,
                        "top_p",
                        step=0.01,
                        info="Choose among the likeliest tokens with this total probability",
                    )
                seed = SeedControl.create()
            with room.exhibit:
                page = gr.HTML(example["page"], max_height=600, autoscroll=True)
                caption = gr.HTML("A finished example. Press Write for a new one.", **CAPTION)
            with room.inside, gr.Accordion("Look inside", open=False):
                gr.Markdown(
                    "Every token, coloured by the probability that the model gave it before one "
                    "was drawn: the darker, the surer. Point at one to see the figure."
                )
                tokens = gr.HTML(example["tokens"])
                recipe = gr.JSON(
                    example["recipe"], label="Recipe: the same recipe gives the same text"
                )

        wire_generation(
            buttons,
            show_on_page,
            [prompt, model, length, temperature, top_k, top_p, seed.seed],
            [page, caption, tokens, seed.used, recipe],
            caption=caption,
            also=[prompt.submit],
        )
        add_endpoint(
            "generate_text",
            answer,
            {"prompt": EXAMPLES[0], "model": "text/storyteller", **TextRequest.numbers()},
            [gr.Textbox(label="text", visible=False), gr.JSON(label="recipe", visible=False)],
        )
    return demo


def show_text(prompt: str, text: str) -> str:
    """The sheet of paper: the visitor's words in grey, the model's in ink."""
    return (
        f'<div class="paper"><span class="prompt">{html.escape(prompt)}</span>'
        f'<span class="made">{html.escape(text)}</span><span class="cursor"></span></div>'
    )


def show_tokens(tokens: tuple[Token, ...]) -> str:
    """Tokens as coloured spans; the share of the accent is the probability."""
    spans = [
        f'<span title="{token.probability:.1%}" style="--share: {50 * token.probability:.0f}%">'
        f"{html.escape(token.text)}</span>"
        for token in tokens
    ]
    return f'<div class="tokens">{"".join(spans)}</div>'


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write the text of the first visit, ``example.json``."""
    request = TextRequest.parse(prompt=EXAMPLES[0], seed=EXAMPLE_SEED)
    spec = Catalog(settings).get("text/storyteller")
    with cache.lease(spec.key) as language_model, stop_on_exit() as stop:
        *_, last = generate_text(language_model, request, stop)
    example = {
        "tokens": [[token.text, round(token.probability, 3)] for token in last.tokens],
        "recipe": Recipe.of(spec, request, settings).to_dict(),
    }
    (HERE / "example.json").write_text(json.dumps(example, indent=1) + "\n", encoding="utf-8")


def load_example() -> dict[str, Any]:
    """What ``make_example`` wrote, ready for the page."""
    example = json.loads((HERE / "example.json").read_text(encoding="utf-8"))
    tokens = tuple(Token(*token) for token in example["tokens"])
    text = "".join(token.text for token in tokens)
    return {
        "page": show_text(EXAMPLES[0], text),
        "tokens": show_tokens(tokens),
        "recipe": example["recipe"],
    }


if __name__ == "__main__":
    run_alone(create_demo)
