"""Reconstruct: a picture encoded and decoded by the VAE, and inverted with the GAN."""

from __future__ import annotations

import html
import random
import time
from collections.abc import Iterator
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr
from PIL import Image

from demos.latent.invert import InversionRequest, InversionStep, invert
from demos.latent.models import find_pair, list_datasets, pair_keys
from demos.latent.reconstruct import (
    Reconstruction,
    draw_real_critters,
    read_drawing,
    reconstruct,
)
from demos.latent.show_reconstruct import (
    describe_losses,
    describe_search,
    describe_vae,
    show_critters,
    show_found,
    show_numbers,
    show_sketchpad,
    show_three,
)
from demos.latent.tabs import choose_dataset
from shared.errors import InvalidRequest
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons
from shared.ui.endpoints import add_endpoint
from shared.ui.events import LIVE, QUEUED, say_errors, wire_generation
from shared.ui.layout import CAPTION, tab_columns
from shared.uploads import read_picture

if TYPE_CHECKING:
    from shared.nets import VAE, Generator

CRITTERS = 12
SHOW_EVERY_S = 0.15
MOST_SECONDS = 45.0  # a search takes seven; on a busy machine, others must not wait longer
CHOOSE = "Choose a picture first: upload one, draw one, or take a real critter."
# The critters are drawn when a visitor first opens their list.
CRITTERS_SCRIPT = """
const press = (chosen) => {
  for (const button of element.querySelectorAll("[data-index]"))
    button.setAttribute("aria-pressed", String(button === chosen));
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-index]");
  if (!button) return;
  press(button);
  trigger("select", { index: Number(button.dataset.index) });
});
trigger("expand");
"""
SKETCH_SCRIPT = """
const show = ({ mount }) => mount(element, { trigger });
const fail = () => {
  const line = element.querySelector(".sketch-failed");
  line.hidden = false;
  line.textContent = "The pad could not start. Reload the page to try again.";
};
import(new URL("rooms/latent/sketch.js", document.baseURI)).then(show).catch(fail);
"""


def create_reconstruct(room: Room) -> None:
    """Add the tab's contents and the endpoint ``reconstruct`` to the current place."""

    def squeeze(dataset: str, picture: Image.Image) -> Reconstruction:
        vae_spec, _ = find_pair(room.catalog, dataset)
        with room.cache.lease(vae_spec.key, room.holder) as vae:
            return reconstruct(vae, picture)

    def take(dataset: str, picture: Image.Image) -> tuple[Any, ...]:
        result = squeeze(dataset, picture)
        words = f"{describe_vae(result)} Press the button to let the GAN search for it, too."
        return result.original, show_three(result.original, result), words, show_numbers(result), ""

    def refuse(problem: str) -> tuple[Any, ...]:
        # An earlier result must not look like that of this picture.
        return None, show_three(None), html.escape(problem), "", ""

    def take_upload(dataset: str, path: str | None) -> tuple[Any, ...]:
        if path is None:  # the field was emptied
            return (gr.skip(),) * 5
        try:
            picture = read_picture(path)
        except InvalidRequest as error:
            return refuse(f"{error} Then choose it again.")
        return take(dataset, picture)

    def take_drawing(dataset: str, event: gr.EventData) -> tuple[Any, ...]:
        if not isinstance(event._data, dict) or not event._data.get("picture"):
            return refuse(CHOOSE)  # the pad was cleared
        try:
            picture = read_drawing(event._data["picture"])
        except InvalidRequest as error:  # not an error: every drawing starts empty
            return refuse(str(error))
        return take(dataset, picture)

    def take_critter(dataset: str, seed: int, event: gr.EventData) -> tuple[Any, ...]:
        index = event._data.get("index") if isinstance(event._data, dict) else None
        if not isinstance(index, int) or not 0 <= index < CRITTERS:
            raise InvalidRequest("There is no such critter. Choose one of those shown.")
        return take(dataset, draw_real_critters(seed, CRITTERS)[index][0])

    def show_others() -> tuple[str, int]:
        seed = random.randrange(2**31)
        return show_critters(draw_real_critters(seed, CRITTERS)), seed

    def search(dataset: str, given: Image.Image | None) -> Iterator[Any]:
        if given is None:
            raise InvalidRequest(CHOOSE)
        request = InversionRequest.parse(dataset=dataset)
        result = None
        search = partial(search_both, picture=given)
        for result in room.run(
            search, pair_keys(room.catalog, dataset), request, every=SHOW_EVERY_S
        ):
            if isinstance(result, Waiting):
                yield result
                continue
            squeezed, found = result
            yield show_three(given, squeezed, found), describe_search(found), gr.skip()
        if result and not isinstance(result, Waiting):
            words = describe_losses(squeezed, found)
            yield show_three(given, squeezed, found), words, show_found(found)

    def answer_reconstruct(dataset: str, image: str | None) -> tuple[Any, ...]:
        """Squeeze a picture through the VAE's 64 numbers and decode it again.

        Args:
            dataset: What the VAE was trained on: critters.
            image: A picture; it is cropped to a square and scaled to the model's 64 x 64 pixels.

        Returns:
            The reconstruction, and its errors: l1 (mean absolute difference of colours, 0 to 1),
            psnr_db, z_dim, mu, sigma, and the model's key.
        """
        vae_spec, _ = find_pair(room.catalog, dataset)
        if not image:
            raise InvalidRequest("There is no picture. Choose one first.")
        result = squeeze(dataset, read_picture(image))
        return result.picture, {
            "model": vae_spec.key,
            "l1": result.closeness.l1,
            "psnr_db": result.closeness.psnr_db,
            "z_dim": len(result.mu),
            "mu": result.mu.tolist(),
            "sigma": result.sigma.tolist(),
        }

    with tab_columns() as columns:
        with columns.controls:
            dataset = choose_dataset(room)
            with gr.Tabs():
                with gr.Tab("A real critter"):
                    gr.HTML(
                        "Drawn by rule, not by a network. The two have never seen these.", **CAPTION
                    )
                    critters = gr.HTML("", js_on_load=CRITTERS_SCRIPT, padding=False)
                    others = gr.Button("Twelve others", size="sm")
                with gr.Tab("Draw"):
                    pad = gr.HTML(show_sketchpad(), js_on_load=SKETCH_SCRIPT, padding=False)
                with gr.Tab("Upload"):
                    # A file field, since an image field opens the file itself and reports
                    # damaged ones with a message that is not for visitors.
                    upload = gr.File(label="Your picture", file_types=["image"], height=150)
            buttons = RunButtons.create("Let the GAN search")
        with columns.exhibit:
            exhibit = gr.HTML(show_three(None))
            caption = gr.HTML(CHOOSE, **CAPTION)
    with gr.Accordion("Look inside", open=False):
        numbers = gr.HTML("Here are the numbers that the VAE turns your picture into.")
        found = gr.HTML()
    given, critter_seed = gr.State(), gr.State(0)

    taken = [given, exhibit, caption, numbers, found]
    seen = QUEUED | {"show_progress": "minimal", "show_progress_on": exhibit}
    critters.expand(show_others, None, [critters, critter_seed], **QUEUED)
    others.click(show_others, None, [critters, critter_seed], **QUEUED)
    critters.select(say_errors(take_critter), [dataset, critter_seed], taken, **seen)
    pad.input(say_errors(take_drawing), dataset, taken, **LIVE)
    upload.change(say_errors(take_upload), [dataset, upload], taken, **seen)
    wire_generation(buttons, search, [dataset, given], [exhibit, caption, found], caption=caption)
    add_endpoint(
        "reconstruct",
        answer_reconstruct,
        {"dataset": list_datasets(room.catalog)[0], "image": gr.File(label="image", visible=False)},
        [
            gr.Image(label="reconstruction", visible=False, format="png"),
            gr.JSON(label="errors", visible=False),
        ],
        heavy=False,
    )


def search_both(
    vae: VAE, gan: Generator, request: InversionRequest, stop: Event, picture: Image.Image
) -> Iterator[tuple[Reconstruction, InversionStep]]:
    """Reconstruct ``picture`` with the VAE, then invert the GAN; each step shows both.

    It ends after ``MOST_SECONDS`` with the best so far.
    """
    squeezed = reconstruct(vae, picture)
    deadline = time.monotonic() + MOST_SECONDS
    for found in invert(gan, picture, request, stop):
        yield squeezed, found
        if time.monotonic() > deadline:
            return
