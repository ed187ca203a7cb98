"""Explore: one z decoded by both models, with sliders, directions, arithmetic and a map.

While sliders are dragged, the visitor's browser decodes (browser/explorer.js);
the server draws z from
seeds, writes recipes, and decodes for browsers that cannot.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.latent.generate import (
    Z_DIM,
    DecodeRequest,
    PairRequest,
    SeedsRequest,
    count_parameters,
    decode_each,
    draw_z,
    sample,
)
from demos.latent.models import find_directions, find_pair, lease_pair, list_datasets, pair_recipe
from demos.latent.show import GAN_LABEL, VAE_LABEL
from shared.data_urls import to_data_url
from shared.errors import GalleryError, InvalidRequest
from shared.room import Room
from shared.ui.endpoints import add_endpoint
from shared.ui.events import LIVE, QUICK

HERE = Path(__file__).parent
ROOM = HERE.parent
EXAMPLE_SEED = 7
MODULE = """
const show = ({ mount }) => mount(element, { trigger, watch, props });
const fail = () => {
  const line = element.querySelector(".explorer-failed");
  line.hidden = false;
  line.textContent = "This exhibit could not start. Reload the page to try again.";
};
import(new URL("rooms/latent/explorer.js", document.baseURI)).then(show).catch(fail);
"""
Answer = Callable[[dict[str, Any]], dict[str, Any]]


def create_explore(room: Room) -> None:
    """Add the tab's contents and the endpoint ``sample_latent`` to the current place."""

    def describe_dataset(name: str) -> dict[str, Any]:
        vae_spec, gan_spec = find_pair(room.catalog, name)
        try:
            found = all(find_directions(room.settings, spec) for spec in (vae_spec, gan_spec))
        except GalleryError:
            found = False  # the rest of the page works without it
        return {"name": name, "vae": vae_spec.key, "gan": gan_spec.key, "directions": found}

    def draw_seeds(values: dict[str, Any]) -> dict[str, Any]:
        seeds = SeedsRequest.parse(**values).seeds
        return {"seeds": seeds, "z": [draw_z(seed, Z_DIM).tolist() for seed in seeds]}

    def write_recipe(values: dict[str, Any]) -> dict[str, Any]:
        return {"recipe": pair_recipe(room, PairRequest.parse(**values))}

    def draw_pictures(values: dict[str, Any]) -> dict[str, Any]:
        request = DecodeRequest.parse(**values)
        with lease_pair(room, request.dataset) as (vae, gan):
            drawn = decode_each(vae, gan, request.vae, request.gan)
        return dict(zip(("vae", "gan"), ([*map(to_data_url, one)] for one in drawn), strict=True))

    def sample_latent(dataset: str, seed: int, truncation: float) -> tuple[Any, ...]:
        """Draw one random z and decode it with a VAE and with a GAN of the same size.

        Args:
            dataset: What the models were trained on: critters.
            seed: Same seed, same pictures; -1 draws one.
            truncation: Factor on z, 0 (the average) to 2; 1 is as in training.

        Returns:
            The VAE's picture, the GAN's picture, and the recipe with the seed that was used.
        """
        request = PairRequest.parse(dataset=dataset, truncation=truncation, seed=seed)
        with lease_pair(room, request.dataset) as (vae, gan):
            pair = sample(vae, gan, request)
        return pair.vae, pair.gan, pair_recipe(room, request)

    explorer = gr.HTML(
        "",
        html_template=show_shell(),
        js_on_load=MODULE,
        apply_default_css=False,
        config={
            "datasets": [describe_dataset(name) for name in list_datasets(room.catalog)],
            "example": read_example(),
        },
    )
    # Quick questions of the browser run at once; decoding waits for the device.
    explorer.input(
        answer({"seeds": draw_seeds, "recipe": write_recipe}),
        None,
        explorer,
        trigger_mode="multiple",
        **QUICK,
    )
    explorer.submit(
        answer({"decode": draw_pictures}), None, explorer, **LIVE | {"trigger_mode": "multiple"}
    )
    add_endpoint(
        "sample_latent",
        sample_latent,
        {"dataset": list_datasets(room.catalog)[0], "seed": -1, "truncation": 1.0},
        [
            *[gr.Image(label=name, visible=False, format="png") for name in ("vae", "gan")],
            gr.JSON(label="recipe", visible=False),
        ],
        heavy=False,
    )


def answer(answers: dict[str, Answer]) -> Callable[[gr.EventData], str]:
    """Return the handler of an event with which browser/server.js calls one of ``answers``.

    It returns the answer, or a message for the visitor, as JSON with the number of the call.
    """

    def handle(event: gr.EventData) -> str:
        question = event._data if isinstance(event._data, dict) else {}
        values = question.get("values")
        try:
            if question.get("kind") not in answers or not isinstance(values, dict):
                raise InvalidRequest("The gallery did not understand what this page asked for.")
            result = answers[question["kind"]](values)
        except GalleryError as error:
            result = {"error": str(error)}
        return json.dumps({"number": question.get("number"), **result})

    return handle


def show_shell() -> str:
    """Return the page before any script has run: an example pair, and inactive controls."""
    example = read_example()
    shell = (HERE / "explore.html").read_text(encoding="utf-8")
    values = {
        "seed": str(example["seed"]),
        "vae-label": VAE_LABEL,
        "gan-label": GAN_LABEL,
        **{name: to_data_url(Image.open(ROOM / f"example-{name}.png")) for name in ("vae", "gan")},
        **{f"{name}-parameters": f"{count:,}" for name, count in example["parameters"].items()},
    }
    for name, value in values.items():
        shell = shell.replace(f"@{name}@", value)
    return shell


def read_example() -> dict[str, Any]:
    """Read the seed, z and sizes of the example pair."""
    example: dict[str, Any] = json.loads((ROOM / "example.json").read_text(encoding="utf-8"))
    return example


def make_example(room: Room) -> None:
    """Write the example pair that the tab opens with."""
    with lease_pair(room, list_datasets(room.catalog)[0]) as (vae, gan):
        pair = sample(vae, gan, PairRequest.parse(seed=EXAMPLE_SEED))
        parameters = {"vae": count_parameters(vae.decoder), "gan": count_parameters(gan)}
    pair.vae.save(ROOM / "example-vae.png")
    pair.gan.save(ROOM / "example-gan.png")
    example = {"seed": EXAMPLE_SEED, "z": pair.z, "parameters": parameters}
    (ROOM / "example.json").write_text(json.dumps(example), encoding="utf-8")
