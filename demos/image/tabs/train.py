"""Train one: text encoder and U-Net from random weights, on this machine, watched as they learn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from demos.image.run import BUNDLED
from demos.image.training import EXAMPLE, SCRIPT, create_log, name_model, plan
from shared.critters.live_prompts import PROMPTS
from shared.live.log import TrainingLog, TrainingRequest, read_example
from shared.live.tab import Training, TrainingView, wire_training
from shared.room import Room
from shared.ui.controls import RunButtons, SeedControl, create_slider
from shared.ui.events import QUICK, say_errors
from shared.ui.layout import CAPTION, tab_columns
from shared.visitor_models import VisitorModels

ABOUT = (
    "Only the autoencoder, which turns pictures into latents and back, comes from the bundled "
    "model. Text encoder and U-Net start from random weights and learn on the machine that runs "
    "this gallery, with the very program that made the bundled model; the U-Net is slimmer than "
    "that one’s, since a slim one learns more in minutes. Others can use the gallery meanwhile; "
    "one visitor trains at a time."
)


@dataclass
class Visit:
    """What a visitor has trained: the models, and the story of the last one."""

    models: VisitorModels
    story: TrainingLog


def create_train(room: Room, model: gr.Dropdown, options: Sequence[str] = ()) -> None:
    """Add the tab's contents to the current place.

    Args:
        room: Knows the settings, and where models are kept.
        model: The room's picker, in which visitors find what they have trained.
        options: Further arguments for the training script; tests make it short with these.
    """
    visit = gr.State(None, delete_callback=lambda visit: visit and visit.models.close())
    with tab_columns() as columns:
        with columns.controls:
            minutes = create_slider(TrainingRequest, "minutes", step=1)
            buttons = RunButtons.create("Start training")
            keep = gr.Button("Keep it for this visit", visible=False)
            discard = gr.Button("Discard it", visible=False)
            said = gr.HTML("", **CAPTION)
            seed = SeedControl.create()
            gr.HTML(ABOUT, **CAPTION)
        with columns.exhibit:
            view = TrainingView.create(read_example(EXAMPLE), wide=True)
    gr.HTML(show_prompts(), padding=False)
    view.curves.render()
    offer = [keep, discard, said]

    def prepare(minutes: float, seed: int, visit_before: Visit | None) -> Training:
        request = TrainingRequest.parse(minutes=minutes, seed=seed)
        story = create_log(request, room.settings)
        models = visit_before.models if visit_before else VisitorModels(room.cache, room.catalog)
        models.clear_fresh()
        return Training(
            SCRIPT,
            [*plan(request, room.settings), *options],
            story,
            keep=models.fresh,
            shows={visit: Visit(models, story), keep: gr.update(visible=False), said: ""},
        )

    def show_offer(visit: Visit | None) -> list[Any]:
        """What can be done now with what was trained."""
        fresh = visit is not None and visit.story.step > 0 and visit.models.fresh.is_dir()
        kept = visit.models.kept if visit else None
        if fresh or not kept:
            text, name = "", "it"
        else:
            name = f"“{kept.title}”"
            text = (
                f"{name} is in the list of models at the top. It is yours only, and gone when "
                "you leave. Try it in Draw."
            )
        return [
            gr.update(visible=fresh),
            gr.update(visible=fresh or kept is not None, value=f"Discard {name}"),
            escape(text),
        ]

    def keep_fresh(visit: Visit) -> list[Any]:
        spec = visit.models.keep(room.spec(BUNDLED), name_model(visit.story))
        choices = [*model.choices, (spec.title, spec.key)]
        return [gr.update(choices=choices, value=spec.key), *show_offer(visit)]

    def discard_one(visit: Visit, chosen: str) -> list[Any]:
        models = visit.models
        if models.fresh.is_dir():
            models.clear_fresh()
            return [gr.skip(), *show_offer(visit)]
        gone = models.kept and models.kept.key
        models.discard()
        value = BUNDLED if chosen == gone else chosen
        return [gr.update(choices=model.choices, value=value), *show_offer(visit)]

    inputs = [minutes, seed.seed, visit]
    ends = wire_training(buttons, seed, view, prepare, inputs, shows=[visit, keep, said])
    for end in ends:
        end.then(show_offer, visit, offer, **QUICK)
    keep.click(say_errors(keep_fresh), visit, [model, *offer], **QUICK)
    discard.click(discard_one, [visit, model], [model, *offer], **QUICK)


def show_prompts() -> str:
    """List the prompts in the order of the pictures."""
    lines = "".join(f"<li>{escape(text)}</li>" for text in PROMPTS)
    return (
        '<div class="training-prompts"><p>The twelve prompts, in the order of the pictures. Each '
        f"always starts from the same noise.</p><ol>{lines}</ol></div>"
    )
