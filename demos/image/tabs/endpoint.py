"""The image room's public endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import gradio as gr
from PIL import Image

from demos.image.generate import ImageRequest
from demos.image.run import BUNDLED, run_image
from shared.recipe_files import save_png
from shared.room import Room, Waiting
from shared.ui.endpoints import add_endpoint
from shared.ui.files import new_file

NUMBERS = ("num_inference_steps", "guidance_scale", "seed")


def create_endpoint(room: Room) -> None:
    """Publish ``generate_image``."""

    def answer(
        prompt: str,
        negative_prompt: str,
        model: str,
        num_inference_steps: int,
        guidance_scale: float,
        seed: int,
    ) -> Iterator[Any]:
        """Draw a picture from a description with a diffusion model, streaming previews.

        Args:
            prompt: What to draw, at most 1,000 characters.
            negative_prompt: What to keep out; needs a guidance_scale above 1.
            model: Key from list_models, such as image/critters.
            num_inference_steps: Denoising steps, 1 to 50.
            guidance_scale: How closely to follow the prompt, 0 to 15; up to 1 without a push.
            seed: Same seed, same picture; -1 draws one.

        Returns:
            The picture as PNG, at the model's own resolution, after previews of it, and the recipe
            with the seed that was used. The finished PNG has the recipe in it, too.
        """
        request = ImageRequest.parse(
            prompt=prompt,
            negative_prompt=negative_prompt,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            seed=seed,
        )
        recipe = room.recipe(model, request)
        for step in run_image(room, model, request):
            if isinstance(step, Waiting):
                yield None, recipe
            elif step.images:
                yield write_file(step.images[0], recipe), recipe
            else:
                yield (step.previews[0] if step.previews else None), recipe

    add_endpoint(
        "generate_image",
        answer,
        {
            "prompt": ImageRequest.model_fields["prompt"].default,
            "negative_prompt": "",
            "model": BUNDLED,
            **{name: ImageRequest.numbers()[name] for name in NUMBERS},
        },
        [
            gr.Image(label="image", format="png", visible=False),
            gr.JSON(label="recipe", visible=False),
        ],
    )


def write_file(picture: Image.Image, recipe: Mapping[str, Any]) -> str:
    """Write a PNG with its recipe where the page may hand it out, and return its path."""
    path = new_file("picture.png")
    save_png(picture, path, recipe)
    return str(path)
