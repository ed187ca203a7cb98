"""Bias: what the two models make of a training set in which nine of ten red critters smile."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import gradio as gr

from demos.latent.bias import FAIR, SKEWED, BiasRequest, draw_real_red, draw_red, push
from demos.latent.measure import COMMAND, JUDGE, read_comparison
from demos.latent.room import HOLDER, LatentRoom
from demos.latent.show_bias import (
    explain,
    explain_push,
    show_colors,
    show_push,
    show_sightings,
    show_skew,
)
from shared.catalog import Catalog
from shared.errors import GalleryError
from shared.model_cache import ModelCache
from shared.settings import Settings
from shared.ui import (
    CAPTION,
    RunButtons,
    SeedControl,
    stop_on_exit,
    tab_floor,
    wake,
    wire_generation,
)

EXAMPLES = Path(__file__).parent.parent / "examples"
EXAMPLE, EXAMPLE_PUSH = EXAMPLES / "bias.html", EXAMPLES / "push.html"
EXAMPLE_SEED = 7
INTRODUCTION = (
    "These two models were trained like the others, but on an unfair set: <b>nine of ten red "
    "critters smile</b>. Of every other colour one in eleven does, since there are eleven mouths. "
    "Real training sets are full of such accidents, of people rather than monsters."
)
WHY = (
    "A model has no idea what is a rule and what is chance: it learns what goes together. It may "
    "make nearly always into always, since getting a few red critters wrong costs little in "
    "training. Or it cannot keep colour and mouth apart well enough to follow: then fewer red ones "
    "smile, and more of the others. Measuring is the only way to know."
)
PUSH = (
    "Take a critter that is neither red nor smiling, and move its 64 numbers towards red and "
    "nothing else. If it begins to smile on the way, the model has made the two into one thing."
)
MARK = "A line under a picture: the judge sees a smile."
MISSING = (
    "The two models that were trained on the skewed set are not in this copy of the gallery. Here "
    "are the ordinary ones instead, which show how it looks without a skew."
)


def create_bias(room: LatentRoom) -> None:
    """Add the tab's contents to the current place."""
    dataset = pick_dataset(room)
    skew, trouble = None, "" if dataset == SKEWED else MISSING
    try:
        skew = (read_comparison(room.settings) or {}).get("skew")
    except GalleryError as error:  # the rest of the page works without
        trouble = str(error)

    def draw(seed: int) -> Generator[Any, None, None]:
        request = BiasRequest.parse(dataset=dataset, seed=seed)
        yield from wake(room.cache, *room.models(dataset), room.catalog.get(JUDGE))
        with stop_on_exit() as stop:
            for shown in draw_reds(room, request, stop):
                yield shown, f"Fresh red critters: seed {request.seed}. {MARK}", request.seed

    def push_both(seed: int) -> Generator[Any, None, None]:
        request = BiasRequest.parse(dataset=dataset, seed=seed)
        yield from wake(room.cache, *room.models(dataset), room.catalog.get(JUDGE))
        said = f"Towards red, a step at a time, and what the judge sees · seed {request.seed}"
        yield push_pair(room, request), said, request.seed

    with tab_floor() as floor:
        with floor.controls:
            gr.HTML(INTRODUCTION, **CAPTION)
            buttons = RunButtons.create("Draw fresh red critters")
            seed = SeedControl.create()
            gr.HTML(WHY, **CAPTION)
        with floor.exhibit:
            gr.HTML(f'<p class="measure-note">{trouble}</p>', visible=bool(trouble))
            gr.HTML(show_figures(skew), elem_classes="compare")
            rows = gr.HTML(EXAMPLE.read_text(encoding="utf-8"), elem_classes="compare")
            caption = gr.HTML(f"A finished example: seed {EXAMPLE_SEED}. {MARK}", **CAPTION)
    wire_generation(buttons, draw, [seed.seed], [rows, caption, seed.used], caption=caption)

    gr.HTML("<h3>Push towards red</h3>", elem_classes="compare-heading")
    with tab_floor() as floor:
        with floor.controls:
            gr.HTML(PUSH, **CAPTION)
            pushing = RunButtons.create("Push one towards red")
            own_seed = SeedControl.create()
        with floor.exhibit:
            pushed = gr.HTML(EXAMPLE_PUSH.read_text(encoding="utf-8"), elem_classes="compare")
            about = gr.HTML(explain_push(skew) if skew else "", **CAPTION)
    wire_generation(
        pushing, push_both, [own_seed.seed], [pushed, about, own_seed.used], caption=about
    )
    if skew:
        with gr.Accordion("Every colour", open=False):
            gr.HTML(show_colors(skew), elem_classes="compare")


def draw_reds(room: LatentRoom, request: BiasRequest, stop: Event) -> Iterator[str]:
    """Draw red critters of the training set and of both models; each step shows those so far."""
    skew = SKEWED if request.dataset == SKEWED else None
    rows = {"Training set": draw_real_red(request.seed, skew)}
    with room.lease(request.dataset) as (vae, gan), room.cache.lease(JUDGE, HOLDER) as judge:
        for name, generator in (("VAE", vae.decoder), ("GAN", gan)):
            for found in draw_red(generator, judge, request.seed, stop):
                rows[name] = found
                yield show_sightings(rows)


def push_pair(room: LatentRoom, request: BiasRequest) -> str:
    """Push one picture of each model towards red, and show the way."""
    vae_spec, gan_spec = room.models(request.dataset)
    with room.lease(request.dataset) as (vae, gan), room.cache.lease(JUDGE, HOLDER) as judge:
        rows = {
            name: push(generator, judge, room.directions(spec), request.seed)
            for name, generator, spec in (("VAE", vae.decoder, vae_spec), ("GAN", gan, gan_spec))
        }
    return show_push(rows)


def make_example(cache: ModelCache, settings: Settings) -> None:
    """Write the finished rows and the finished push of the first visit."""
    room = LatentRoom(cache, settings, Catalog(settings))
    request = BiasRequest.parse(dataset=pick_dataset(room), seed=EXAMPLE_SEED)
    *_, shown = draw_reds(room, request, Event())
    EXAMPLE.write_text(shown + "\n", encoding="utf-8")
    EXAMPLE_PUSH.write_text(push_pair(room, request) + "\n", encoding="utf-8")


def pick_dataset(room: LatentRoom) -> str:
    """The skewed models, or the ordinary ones where there are none."""
    return SKEWED if SKEWED in room.datasets else FAIR


def show_figures(skew: dict[str, Any] | None) -> str:
    """The stored figures, or what makes them."""
    if not skew:
        return (
            '<p class="measure-note">How many smile has not been counted yet. The figures of '
            f"10,000 pictures are made by: {COMMAND}</p>"
        )
    return f"{show_skew(skew)}<p>{explain(skew)}</p>"
