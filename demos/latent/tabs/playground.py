"""Playground: a VAE and a GAN learn points in the plane, in the visitor's browser alone."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

from shared.room import Room

HERE = Path(__file__).parent
MODULE = """
const fail = () => {
  element.querySelector(".playground-message").textContent =
    "The playground could not start. Reload the page to try again.";
};
import(new URL("rooms/latent/playground.js", document.baseURI))
  .then(({ mount }) => mount(element))
  .catch(fail);
"""


def create_playground(room: Room) -> None:
    """Add the tab's contents to the current place; the server does nothing after that."""
    del room  # the playground uses none of the gallery's models
    gr.HTML(
        "",
        html_template=(HERE / "playground.html").read_text(encoding="utf-8"),
        js_on_load=MODULE,
        apply_default_css=False,
    )
