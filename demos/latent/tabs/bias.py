"""Bias: two models trained on a set in which nine of ten red critters smile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from demos.latent.bias import FAIR, SKEWED, BiasRequest, draw_real_red, draw_red, move_towards_red
from demos.latent.directions import Directions
from demos.latent.measure import COMMAND, JUDGE, read_comparison
from demos.latent.models import find_directions, find_pair, list_datasets, pair_keys
from demos.latent.show_bias import (
    explain,
    explain_push,
    show_colors,
    show_judged_pictures,
    show_push,
    show_skew,
)
from shared.errors import GalleryError
from shared.room import Room, Waiting, once
from shared.ui.controls import RunButtons, SeedControl
from shared.ui.events import wire_generation
from shared.ui.layout import CAPTION, tab_columns

if TYPE_CHECKING:
    from shared.nets import VAE, Generator, Judge

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


def create_bias(room: Room) -> None:
    """Add the tab's contents to the current place."""
    dataset = pick_dataset(room)
    models = [*pair_keys(room.catalog, dataset), JUDGE]
    skew, trouble = None, "" if dataset == SKEWED else MISSING
    try:
        skew = (read_comparison(room.settings) or {}).get("skew")
    except GalleryError as error:  # the rest of the page works without it
        trouble = str(error)

    def draw(seed: int) -> Iterator[Any]:
        request = BiasRequest.parse(dataset=dataset, seed=seed)
        for shown in room.run(draw_reds, models, request):
            if isinstance(shown, Waiting):
                yield shown
            else:
                yield shown, f"Fresh red critters: seed {request.seed}. {MARK}", request.seed

    def push_both(seed: int) -> Iterator[Any]:
        request = BiasRequest.parse(dataset=dataset, seed=seed)
        caption = f"Towards red, a step at a time, and what the judge sees · seed {request.seed}"
        for pushed in room.run(once(create_push(room, dataset)), models, request):
            if isinstance(pushed, Waiting):
                yield pushed
            else:
                yield pushed, caption, request.seed

    with tab_columns() as columns:
        with columns.controls:
            gr.HTML(INTRODUCTION, **CAPTION)
            buttons = RunButtons.create("Draw fresh red critters")
            seed = SeedControl.create()
            gr.HTML(WHY, **CAPTION)
        with columns.exhibit:
            gr.HTML(f'<p class="measure-note">{trouble}</p>', visible=bool(trouble))
            gr.HTML(show_figures(skew), elem_classes="compare")
            rows = gr.HTML(EXAMPLE.read_text(encoding="utf-8"), elem_classes="compare")
            caption = gr.HTML(f"A finished example: seed {EXAMPLE_SEED}. {MARK}", **CAPTION)
    wire_generation(buttons, draw, [seed.seed], [rows, caption, seed.used], caption=caption)

    gr.HTML("<h3>Push towards red</h3>", elem_classes="compare-heading")
    with tab_columns() as columns:
        with columns.controls:
            gr.HTML(PUSH, **CAPTION)
            pushing = RunButtons.create("Push one towards red")
            own_seed = SeedControl.create()
        with columns.exhibit:
            pushed = gr.HTML(EXAMPLE_PUSH.read_text(encoding="utf-8"), elem_classes="compare")
            about = gr.HTML(explain_push(skew) if skew else "", **CAPTION)
    wire_generation(
        pushing, push_both, [own_seed.seed], [pushed, about, own_seed.used], caption=about
    )
    if skew:
        with gr.Accordion("Every colour", open=False):
            gr.HTML(show_colors(skew), elem_classes="compare")


def draw_reds(
    vae: VAE, gan: Generator, judge: Judge, request: BiasRequest, stop: Event
) -> Iterator[str]:
    """Draw red critters of the training set and of both models; yield those so far."""
    skew = SKEWED if request.dataset == SKEWED else None
    rows = {"Training set": draw_real_red(request.seed, skew)}
    for name, generator in (("VAE", vae.decoder), ("GAN", gan)):
        for found in draw_red(generator, judge, request.seed, stop):
            rows[name] = found
            yield show_judged_pictures(rows)


def create_push(room: Room, dataset: str) -> Callable[..., str]:
    """Return ``push_pair`` with the directions of both models of ``dataset``."""
    specs = find_pair(room.catalog, dataset)
    return partial(push_pair, directions=[find_directions(room.settings, spec) for spec in specs])


def push_pair(
    vae: VAE,
    gan: Generator,
    judge: Judge,
    request: BiasRequest,
    directions: Sequence[Directions | None],
) -> str:
    """Move one picture of each model towards red, and show the steps."""
    generators = {"VAE": vae.decoder, "GAN": gan}
    rows = {
        name: move_towards_red(generator, judge, found, request.seed)
        for (name, generator), found in zip(generators.items(), directions, strict=True)
    }
    return show_push(rows)


def make_example(room: Room) -> None:
    """Write the example rows and the example push that the tab opens with."""
    dataset = pick_dataset(room)
    models = [*pair_keys(room.catalog, dataset), JUDGE]
    request = BiasRequest.parse(dataset=dataset, seed=EXAMPLE_SEED)
    shown = room.finish(draw_reds, models, request)
    EXAMPLE.write_text(shown + "\n", encoding="utf-8")
    pushed = room.finish(once(create_push(room, dataset)), models, request)
    EXAMPLE_PUSH.write_text(pushed + "\n", encoding="utf-8")


def pick_dataset(room: Room) -> str:
    """Return the skewed data set, or the fair one without models of it."""
    return SKEWED if SKEWED in list_datasets(room.catalog) else FAIR


def show_figures(skew: dict[str, Any] | None) -> str:
    """Show the recorded figures, or the command that measures them."""
    if not skew:
        return (
            '<p class="measure-note">How many smile has not been counted yet. The figures of '
            f"10,000 pictures are made by: {COMMAND}</p>"
        )
    return f"{show_skew(skew)}<p>{explain(skew)}</p>"
