"""Walk: from seed to seed through both models, live, and as a film to keep."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from demos.latent.film import save_gif, save_mp4
from demos.latent.generate import LatentRequest, Pair
from demos.latent.models import pair_keys, pair_recipe
from demos.latent.show import show_pair
from demos.latent.show_walk import (
    describe_film,
    describe_way,
    show_film,
    show_inside,
    show_step,
)
from demos.latent.tabs import choose_dataset
from demos.latent.walk import WalkRequest, WalkStep, generate_walk, read_seeds
from shared.room import Room, Waiting, throttle
from shared.ui.controls import RunButtons, create_slider
from shared.ui.events import wire_generation
from shared.ui.files import new_file, offer_download
from shared.ui.layout import CAPTION, tab_columns

ROOM = Path(__file__).parent.parent
PATHS = [("Around (spherical)", "spherical"), ("Straight (linear)", "linear")]


def create_walk(room: Room) -> None:
    """Add the tab's contents to the current place."""

    def walk(
        dataset: str, seeds: str, path: str, closed: bool, frames: int, truncation: float
    ) -> Generator[Any, None, None]:
        request = WalkRequest.parse(
            dataset=dataset,
            seeds=read_seeds(seeds),
            path=path,
            closed=closed,
            frames=frames,
            truncation=truncation,
        )
        recipe, way = pair_recipe(room, request), describe_way(request)
        used = ", ".join(map(str, request.seeds))
        none = gr.update(value=None, interactive=False)
        steps: list[WalkStep] = []

        def keep(walked: Iterator[WalkStep | Waiting]) -> Iterator[WalkStep | Waiting]:
            for step in walked:
                if isinstance(step, WalkStep):
                    steps.append(step)
                yield step

        # The film needs every step, the page only some.
        keys = pair_keys(room.catalog, dataset)
        for step in throttle(keep(room.run(generate_walk, keys, request, every=0)), 0.08):
            if isinstance(step, Waiting):
                yield step
            else:
                caption = f"{way} · {step.position:.0%}"
                yield show_step(step), caption, none, none, gr.skip(), used, recipe
        yield gr.skip(), f"{way} · making the film", none, none, gr.skip(), used, recipe
        gif, mp4 = save_films(steps, recipe)
        yield (
            show_film(link(mp4), way),
            describe_film(steps, way),
            offer_download("Download GIF", gif),
            offer_download("Download MP4", mp4),
            show_inside(steps),
            used,
            recipe,
        )

    with tab_columns() as columns:
        with columns.controls:
            dataset = choose_dataset(room)
            buttons = RunButtons.create("Walk")
            with gr.Row(elem_classes="seed-row", equal_height=True):
                seeds = gr.Textbox(
                    "-1, -1, -1",
                    label="Seeds",
                    info="2 to 8, such as 7, 12, 3; -1 draws one",
                    max_lines=1,
                    min_width=150,
                )
                reuse = gr.Button("Keep last seeds", size="sm", min_width=110)
            path = gr.Radio(
                PATHS, value="spherical", label="Way", info="Straight ahead is nearer to the middle"
            )
            closed = gr.Checkbox(label="Go back to the first seed, in a loop")
            frames = create_slider(
                WalkRequest, "frames", step=2, label="Steps from one seed to the next"
            )
            truncation = create_slider(
                LatentRequest,
                "truncation",
                step=0.05,
                info="Factor on all 64 numbers: 0 is the average, 1 as in training",
            )
        with columns.exhibit:
            exhibit = gr.HTML(show_start())
            caption = gr.HTML("Press Walk and watch the critters change.", **CAPTION)
            with gr.Row():
                gif = gr.DownloadButton("Download GIF", interactive=False, size="sm")
                mp4 = gr.DownloadButton("Download MP4", interactive=False, size="sm")
    with gr.Accordion("Look inside", open=False):
        inside = gr.HTML("Walk first: here is what happens to z on the way.")
        recipe = gr.JSON(label="Recipe: the same recipe gives the same walk")
    used = gr.State("")

    wire_generation(
        buttons,
        walk,
        [dataset, seeds, path, closed, frames, truncation],
        [exhibit, caption, gif, mp4, inside, used, recipe],
        caption=caption,
        also=[seeds.submit],
    )
    reuse.click(lambda last: last or gr.skip(), used, seeds, queue=False, api_visibility="private")


def show_start() -> str:
    """Show the room's example pair before the first walk."""
    images = [Image.open(ROOM / f"example-{name}.png") for name in ("vae", "gan")]
    return show_pair(Pair((), *images), "where a walk might begin")


def save_films(steps: list[WalkStep], recipe: dict[str, Any]) -> tuple[Path, Path]:
    """Write the GIF and the MP4 where Gradio serves and clears its files; return their paths."""
    base = new_file("latent-walk")
    gif, mp4 = base.with_suffix(".gif"), base.with_suffix(".mp4")
    save_gif(steps, gif, recipe)
    save_mp4(steps, mp4, recipe)
    return gif, mp4


def link(path: Path) -> str:
    """Return the URL of one of Gradio's files, relative because the app may be under a path."""
    return f"gradio_api/file={path.as_posix()}"
