"""Train one: a critter VAE or GAN from random weights, on this machine, watched as it learns."""

from __future__ import annotations

from collections.abc import Sequence

import gradio as gr

from demos.latent.training import EXAMPLE, TrainRequest, create_log, plan
from shared.live.log import read_example
from shared.live.tab import Training, TrainingView, wire_training
from shared.room import Room
from shared.ui.controls import RunButtons, SeedControl, create_slider
from shared.ui.layout import CAPTION, tab_columns

ABOUT = (
    "It starts from random weights, on the machine that runs this gallery, with the very program "
    "that made the bundled model. Others can use the gallery meanwhile; one visitor trains at a "
    "time. Stop whenever you like: what it drew stays while this page is open."
)


def create_train(room: Room, options: Sequence[str] = ()) -> None:
    """Add the tab's contents to the current place.

    Args:
        room: Knows the settings.
        options: Further arguments for the training scripts; tests make them short with these.
    """
    example = read_example(EXAMPLE)
    with tab_columns() as columns:
        with columns.controls:
            network = gr.Radio(
                [("A VAE, which redraws", "vae"), ("A GAN, which fools a critic", "gan")],
                value="vae",
                label="What to train",
            )
            minutes = create_slider(TrainRequest, "minutes", step=1)
            buttons = RunButtons.create("Start training")
            seed = SeedControl.create()
            gr.HTML(ABOUT, **CAPTION)
        with columns.exhibit:
            view = TrainingView.create(example)
    view.curves.render()

    def prepare(network: str, minutes: float, seed: int) -> Training:
        request = TrainRequest.parse(network=network, minutes=minutes, seed=seed)
        return Training(
            f"train_{request.network}",
            [*plan(request, room.settings), *options],
            create_log(request, room.settings),
        )

    wire_training(buttons, seed, view, prepare, [network, minutes, seed.seed])
