"""Compare: figures and plots of both models beside real critters, and their nearest neighbours.

The tab opens with recorded figures of ten thousand pictures; a visitor can measure a few hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import gradio as gr

from demos.latent.generate import PairRequest, sample
from demos.latent.measure import COMMAND, JUDGE, MeasureRequest, measure, read_comparison
from demos.latent.models import list_datasets, pair_keys
from demos.latent.neighbours import NeighbourRequest, draw_fresh, find_neighbours
from demos.latent.show_compare import show_neighbours, show_table
from shared.errors import GalleryError
from shared.room import Room, Waiting
from shared.ui.controls import RunButtons, SeedControl, create_slider
from shared.ui.events import wire_generation
from shared.ui.layout import CAPTION, tab_columns

if TYPE_CHECKING:
    from shared.nets import VAE, Generator, Judge

EXAMPLE = Path(__file__).parent.parent / "examples" / "neighbours.html"
EXAMPLE_SEED = 7
INTRODUCTION = (
    "Which of the two is better? It depends on what one asks, so here are thirteen questions. "
    "Every figure was measured, by the same code for both models and, where it applies, for real "
    "critters. The judge is a third network, which was trained to name what a critter has."
)
NOISE = (
    "A few hundred pictures give rough figures: a Fréchet distance comes out larger the fewer "
    "there are, for real pictures too, and shares wobble by some per cent. So compare what stands "
    "in one row, not now with then."
)
MEMORY = (
    "Has it learned its training pictures by heart? Here are the four of the 50,000 that are "
    "nearest to each picture. A copy would be alike in all it shows, at a distance near 0. But "
    "there are only so many critters: even one fresh out of the drawing program is in the training "
    "set once in 86 times."
)


def create_compare(room: Room) -> None:
    """Add the tab's contents to the current place."""
    dataset = list_datasets(room.catalog)[0]
    models = [*pair_keys(room.catalog, dataset), JUDGE]
    stored, trouble = None, ""
    try:
        stored = read_comparison(room.settings)
    except GalleryError as error:  # the rest of the page works without it
        trouble = str(error)

    def run(count: int, seed: int) -> Iterator[Any]:
        request = MeasureRequest.parse(dataset=dataset, count=count, seed=seed)
        for step in room.run(measure, models, request):
            if isinstance(step, Waiting):
                yield step
            elif step.figures:
                now = {"figures": step.figures, "plots": step.plots}
                yield show_table(stored, now), describe_now(request), request.seed
            else:
                yield gr.skip(), f"{step.doing} · {step.progress:.0%}", request.seed

    def neighbours(seed: int) -> Iterator[Any]:
        request = NeighbourRequest.parse(dataset=dataset, seed=seed)
        search = partial(find_all, usual=typical(stored))
        for found in room.run(search, models, request):
            if isinstance(found, Waiting):
                yield found
                continue
            shown, caption = found
            yield shown or gr.skip(), caption, request.seed

    with tab_columns() as columns:
        with columns.controls:
            gr.HTML(INTRODUCTION, **CAPTION)
            buttons = RunButtons.create("Measure again, now")
            count = create_slider(
                MeasureRequest,
                "count",
                step=50,
                label="Pictures of each kind",
                info="More take longer and give steadier figures",
            )
            seed = SeedControl.create()
            gr.HTML(NOISE, **CAPTION)
        with columns.exhibit:
            caption = gr.HTML(trouble or describe_stored(stored), **CAPTION)
            table = gr.HTML(show_table(stored), elem_classes="compare")
    wire_generation(buttons, run, [count, seed.seed], [table, caption, seed.used], caption=caption)

    gr.HTML("<h3>Has it memorised?</h3>", elem_classes="compare-heading")
    with tab_columns() as columns:
        with columns.controls:
            gr.HTML(MEMORY, **CAPTION)
            look = RunButtons.create("Show the nearest training pictures")
            own_seed = SeedControl.create()
        with columns.exhibit:
            near = gr.HTML(EXAMPLE.read_text(encoding="utf-8"), elem_classes="compare")
            about = gr.HTML(f"A finished example: seed {EXAMPLE_SEED}.", **CAPTION)
    wire_generation(look, neighbours, [own_seed.seed], [near, about, own_seed.used], caption=about)


def find_all(
    vae: VAE,
    gan: Generator,
    judge: Judge,
    request: NeighbourRequest,
    stop: Event,
    usual: float | None,
) -> Iterator[tuple[str, str]]:
    """Find the neighbours of both models' pictures and of a fresh critter, one after the other.

    Yields the result as HTML ("" until all are found), and a caption.
    """
    pair = sample(vae, gan, PairRequest.parse(dataset=request.dataset, seed=request.seed))
    pictures = {"VAE": pair.vae, "GAN": pair.gan, "Fresh and real": draw_fresh(request.seed)}
    rows = []
    for name, picture in pictures.items():
        if stop.is_set():
            return
        yield "", f"Searching 50,000 pictures · {name}"
        rows.append((name, picture, find_neighbours(judge, [picture])[0]))
    yield show_neighbours(rows, usual), f"Seed {request.seed}"


def typical(stored: dict[str, Any] | None) -> float | None:
    """Return the median distance of new real critters to the nearest training picture."""
    return stored["figures"]["real"].get("nearest_training") if stored else None


def make_example(room: Room) -> None:
    """Write the example that the tab opens with."""
    request = NeighbourRequest.parse(seed=EXAMPLE_SEED)
    models = [*pair_keys(room.catalog, list_datasets(room.catalog)[0]), JUDGE]
    search = partial(find_all, usual=typical(read_comparison(room.settings)))
    shown, _ = room.finish(search, models, request)
    EXAMPLE.write_text(shown + "\n", encoding="utf-8")


def describe_stored(stored: dict[str, Any] | None) -> str:
    """Return a line about the origin of the recorded figures."""
    if stored is None:
        return f"Nothing is stored yet. The figures of 10,000 pictures are made by: {COMMAND}"
    return (
        f"{stored['count']:,} pictures of each kind, measured on {stored['date']} by "
        f"<code>{stored['command']}</code>. Bold is the better of the two models."
    )


def describe_now(request: MeasureRequest) -> str:
    """Return a line about the measurement of this visit."""
    return (
        f"<b>Measured now</b>: {request.count:,} pictures of each kind, seed {request.seed}. "
        "They stand under the stored figures."
    )
