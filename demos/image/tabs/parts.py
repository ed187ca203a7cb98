"""Parts: tokenizer, text encoder, autoencoder and denoiser, each run alone."""

from __future__ import annotations

import html
import random
from collections.abc import Generator
from typing import Any

import gradio as gr
from PIL import Image

from demos.image import parts, parts_text, show_parts
from demos.image.generate import MAX_PROMPT
from shared.errors import InvalidRequest
from shared.requests import MAX_SEED
from shared.room import Room, Waiting, once
from shared.ui.controls import RunButtons, create_slider
from shared.ui.events import LIVE, QUEUED, say_errors, wire_generation
from shared.ui.layout import CAPTION, tab_columns
from shared.uploads import read_picture

FIRST_CRITTER = 7
SECONDS = 5  # of a graphics card
INTRO = (
    "A diffusion model is several networks that hand numbers to each other. Here each runs alone: "
    "give it something and look at what it hands on."
)
# Whoever opens the tab sees results at once; who never does costs nothing.
OPENING = 'trigger("expand");'
# Which tile is pressed is known here, so that choosing one does not draw them all again.
CHOOSING = """
element.addEventListener("click", (event) => {
  const chosen = event.target.closest("[data-index]");
  if (!chosen) return;
  for (const button of element.querySelectorAll("[data-index]"))
    button.setAttribute("aria-pressed", String(button === chosen));
  trigger("select", { index: Number(chosen.dataset.index) });
});
"""
# While a slider is dragged only its last place counts.
Values = tuple[Any, ...]


def create_parts(room: Room, model: gr.Dropdown) -> None:
    """Add the tab's contents to the current place; ``model`` is the room's picker."""
    intro = gr.HTML(f'<p class="part-text">{INTRO}</p>', js_on_load=OPENING, padding=False)
    opened = gr.State(False)
    # Only a model that is here: nobody gets a download for opening a tab.
    intro.expand(lambda model: room.spec(model).bundled, model, opened, **QUEUED)
    _create_tokenizer(room, model, opened)
    _create_encoder(room, model, opened)
    _create_autoencoder(room, model, opened)
    _create_denoiser(room, model, opened)


def _create_tokenizer(room: Room, model: gr.Dropdown, opened: gr.State) -> None:
    def show(model: str, prompt: str) -> Generator[Any, None, None]:
        request = parts_text.TokensRequest.parse(prompt=prompt)
        for tokens in room.run(once(parts_text.read_tokens), model, request, seconds=SECONDS):
            if isinstance(tokens, Waiting):
                yield tokens
            else:
                yield show_parts.show_tokens(tokens), _name(room, model)

    _head(
        "Tokenizer",
        "Networks take numbers, not letters. The tokenizer cuts a text into pieces that it has a "
        "number for. Try a word that no monster needs.",
    )
    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(
                parts_text.TokensRequest().prompt, label="Text", max_length=MAX_PROMPT
            )
            buttons = RunButtons.create("Cut into tokens")
        with columns.exhibit:
            exhibit, caption = _exhibit(show_parts.NO_TOKENS)
    wire_generation(
        buttons,
        show,
        [model, prompt],
        [exhibit, caption],
        caption=caption,
        also=[prompt.submit, opened.change],
    )


def _create_encoder(room: Room, model: gr.Dropdown, opened: gr.State) -> None:
    def show(model: str, prompt: str, other: str) -> Generator[Any, None, None]:
        request = parts_text.VectorsRequest.parse(prompt=prompt, other=other)
        for vectors in room.run(once(parts_text.encode_texts), model, request, seconds=SECONDS):
            if isinstance(vectors, Waiting):
                yield vectors
            else:
                yield show_parts.show_vectors(*vectors), _name(room, model)

    _head(
        "Text encoder",
        "It turns every token into a long row of numbers, its meaning in this sentence. The same "
        "word gets other numbers in other company, and that is how yellow finds its horns.",
    )
    with tab_columns() as columns:
        with columns.controls:
            first = parts_text.VectorsRequest()
            prompt = gr.Textbox(first.prompt, label="Sentence", max_length=MAX_PROMPT)
            other = gr.Textbox(first.other, label="Compare with", max_length=MAX_PROMPT)
            buttons = RunButtons.create("Encode")
        with columns.exhibit:
            exhibit, caption = _exhibit(show_parts.NO_VECTORS)
    wire_generation(
        buttons,
        show,
        [model, prompt, other],
        [exhibit, caption],
        caption=caption,
        also=[prompt.submit, other.submit, opened.change],
    )


def _create_autoencoder(room: Room, model: gr.Dropdown, opened: gr.State) -> None:
    def ask(
        seed: int, path: str | None, channel: int, factor: float, *, lenient: bool = False
    ) -> parts.AutoencoderRequest:
        picture = _read_upload(path, lenient)
        return parts.AutoencoderRequest.parse(
            picture=picture, seed=seed, channel=channel, factor=factor
        )

    def show(model: str, *values: Any) -> Generator[Any, None, None]:
        request = ask(*values)
        for result in room.run(once(parts.autoencode), model, request, seconds=SECONDS):
            if isinstance(result, Waiting):
                yield result
                continue
            yield (
                show_parts.show_autoencoded(result, request.factor),
                show_parts.show_tiles(result),
                f"{_name(room, model)} · {show_parts.describe_latents(result)}",
            )

    def change(model: str, *values: Any) -> Any:
        if not room.spec(model).bundled:
            return gr.skip()  # larger ones take seconds: the button asks them
        request = ask(*values, lenient=True)
        result = room.finish(once(parts.autoencode), model, request, seconds=SECONDS)
        return show_parts.show_autoencoded(result, request.factor)

    def choose(event: gr.EventData) -> Any:
        index = event._data.get("index") if isinstance(event._data, dict) else None
        return index if isinstance(index, int) and 0 <= index < 4096 else gr.skip()

    _head(
        "Autoencoder",
        "Its encoder squeezes a picture into few numbers, the latents; its decoder paints them "
        "again. The denoiser works on latents only. Press a channel to see what it is there for.",
    )
    with tab_columns() as columns:
        with columns.controls:
            seed, upload, another = _choose_picture()
            factor = create_slider(
                parts.AutoencoderRequest, "factor", step=0.25, label="Multiply the channel by"
            )
            buttons = RunButtons.create("Encode and decode")
        with columns.exhibit:
            exhibit, caption = _exhibit(show_parts.NO_PICTURES)
            tiles = gr.HTML("", js_on_load=CHOOSING, padding=False)
    channel = gr.State(0)
    another.click(_another, None, [seed, upload], **QUEUED)
    tiles.select(choose, None, channel, **QUEUED)
    values = [model, seed, upload, channel, factor]
    gr.on([factor.input, channel.change], say_errors(change), values, exhibit, **LIVE)
    wire_generation(
        buttons,
        show,
        values,
        [exhibit, tiles, caption],
        caption=caption,
        also=[seed.change, upload.upload, opened.change],
    )


def _create_denoiser(room: Room, model: gr.Dropdown, opened: gr.State) -> None:
    def ask(
        seed: int,
        path: str | None,
        prompt: str,
        noise: float,
        guidance: float,
        *,
        lenient: bool = False,
    ) -> parts.DenoiserRequest:
        return parts.DenoiserRequest.parse(
            picture=_read_upload(path, lenient),
            seed=seed,
            prompt=prompt,
            noise=noise,
            guidance_scale=guidance,
        )

    def show(model: str, *values: Any) -> Generator[Any, None, None]:
        request = ask(*values)
        for result in room.run(once(parts.denoise_once), model, request, seconds=SECONDS):
            if isinstance(result, Waiting):
                yield result
            else:
                yield paint(model, request, result)

    def paint(model: str, request: parts.DenoiserRequest, result: parts.Denoised) -> Values:
        return (
            show_parts.show_denoised(result, request.guidance_scale),
            f"{_name(room, model)} · {show_parts.describe_denoised(result)}",
        )

    def change(model: str, *values: Any) -> Any:
        if not room.spec(model).bundled:
            return gr.skip(), gr.skip()
        request = ask(*values, lenient=True)
        result = room.finish(once(parts.denoise_once), model, request, seconds=SECONDS)
        return paint(model, request, result)

    def another_described() -> Values:
        seed, upload = _another()
        return seed, upload, parts.draw_critter(seed)[1]

    _head(
        "One step of the denoiser",
        "The heart of it all, asked just once: noise is put on a picture, and the denoiser says "
        "what it believes is underneath, without your words and with them. Drag the noise; then "
        "tell it something untrue.",
    )
    with tab_columns() as columns:
        with columns.controls:
            prompt = gr.Textbox(
                "a monster", label="What the denoiser is told", lines=2, max_length=MAX_PROMPT
            )
            noise = create_slider(parts.DenoiserRequest, "noise", step=0.01, label="Noise")
            guidance = create_slider(
                parts.DenoiserRequest,
                "guidance_scale",
                step=0.5,
                label="Guidance",
                info="0 is the answer without words, 1 the one with them; more goes on that way",
            )
            buttons = RunButtons.create("Ask the denoiser")
            seed, upload, another = _choose_picture()
        with columns.exhibit:
            exhibit, caption = _exhibit(show_parts.NO_PICTURES)
    another.click(another_described, None, [seed, upload, prompt], **QUEUED)
    values = [model, seed, upload, prompt, noise, guidance]
    gr.on([noise.input, guidance.input], say_errors(change), values, [exhibit, caption], **LIVE)
    described = gr.State(False)
    # The first prompt describes the first critter truly.
    opened.change(
        lambda: (parts.draw_critter(FIRST_CRITTER)[1], True),
        None,
        [prompt, described],
        **QUEUED,
    )
    wire_generation(
        buttons,
        show,
        values,
        [exhibit, caption],
        caption=caption,
        also=[seed.change, upload.upload, prompt.submit, described.change],
    )


def _head(title: str, text: str) -> None:
    gr.HTML(f'<div class="part-head"><h3>{title}</h3><p>{text}</p></div>', padding=False)


def _exhibit(hint: str) -> tuple[gr.HTML, gr.HTML]:
    return gr.HTML(hint, elem_classes="part-exhibit", padding=False), gr.HTML("", **CAPTION)


def _choose_picture() -> tuple[gr.State, gr.File, gr.Button]:
    another = gr.Button("Another critter", size="sm")
    # An image field would open the file first, and answer a damaged one with words that are not
    # for visitors; a file field leaves that to us.
    upload = gr.File(label="Or a picture of yours", file_types=["image"], height=120)
    return gr.State(FIRST_CRITTER), upload, another


def _read_upload(path: str | None, lenient: bool) -> Image.Image | None:
    """The visitor's picture, if there is one; a slider that is dragged does not complain again."""
    try:
        return read_picture(path) if path else None
    except InvalidRequest:
        if not lenient:
            raise
        return None


def _another() -> tuple[int, None]:
    return random.randint(0, MAX_SEED), None


def _name(room: Room, model: str) -> str:
    return f"<b>{html.escape(room.spec(model).title)}</b>"
