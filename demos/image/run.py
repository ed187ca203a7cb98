"""Running the image room's models. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator

from demos.image.generate import DiffusionRequest, ImageRequest, ImageStep, generate_image
from shared.room import Room, Waiting

BUNDLED = "image/critters"


def run_image(room: Room, model: str, request: ImageRequest) -> Iterator[ImageStep | Waiting]:
    """Draw with ``model``; see ``Room.run``."""
    return room.run(generate_image, model, request, seconds=estimate_seconds(request))


def estimate_seconds(request: DiffusionRequest) -> float:
    """How long a graphics card needs for a drawing."""
    return 5 + request.num_inference_steps / 2
