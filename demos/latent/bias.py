"""Bias of models trained on a skewed set: red critters, and moves towards red. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import Field

from demos.latent.directions import Directions
from demos.latent.generate import to_image
from shared.errors import InvalidRequest, ModelUnavailable
from shared.requests import Request

if TYPE_CHECKING:
    import torch

    from shared.nets import Generator, Judge

SKEWED, FAIR = "smiling", "critters"
CAUSE, VALUE = "color", "red"
EFFECT, WORD = "mouth", "smile"
SHOWN = 12  # red critters of each kind
BATCH, MOST = 40, 2000  # pictures drawn at once, and in all
STRENGTHS = (0.0, 0.5, 1.0, 1.5, 2.0)


class BiasRequest(Request):
    """Which pair of models to ask for red critters.

    Attributes:
        dataset: What both models were trained on.
    """

    dataset: str = Field(SKEWED, min_length=1, max_length=60)


@dataclass(frozen=True)
class JudgedPicture:
    """A picture, and the attributes that the judge sees in it.

    Attributes:
        picture: RGB.
        color: Such as ``red``.
        mouth: Such as ``smile``.
    """

    picture: Image.Image
    color: str
    mouth: str

    @property
    def smiles(self) -> bool:
        """Whether it shows the effect of the skew."""
        return self.mouth == WORD


def draw_red(
    generator: Generator, judge: Judge, seed: int, stop: Event, count: int = SHOWN
) -> Iterator[list[JudgedPicture]]:
    """Draw pictures until the judge has seen ``count`` red ones; yield those so far.

    Gives up after ``MOST`` pictures, or when ``stop`` is set.
    """
    import torch

    rng = torch.Generator("cpu").manual_seed(seed)
    found: list[JudgedPicture] = []
    for _ in range(0, MOST, BATCH):
        if stop.is_set() or len(found) >= count:
            return
        z = torch.randn(BATCH, generator.config.z_dim, generator=rng)
        found += [one for one in generate_judged(generator, judge, z) if one.color == VALUE]
        yield found[:count]


def draw_real_red(seed: int, skew: str | None, count: int = SHOWN) -> list[JudgedPicture]:
    """Draw ``count`` real red critters with the distribution of the training set."""
    from shared.critters.attributes import VALUES, render_critter, sample_attributes

    rows = sample_attributes(40 * count, seed=seed, skew=skew)
    red = np.flatnonzero(rows[CAUSE] == VALUES[CAUSE].index(VALUE))[:count]
    words = [{name: VALUES[name][int(rows[name][row])] for name in VALUES} for row in red]
    return [JudgedPicture(Image.fromarray(render_critter(w)), w[CAUSE], w[EFFECT]) for w in words]


def move_towards_red(
    generator: Generator, judge: Judge, directions: Directions | None, seed: int
) -> list[JudgedPicture]:
    """Move one picture towards red, step by step; it starts neither red nor smiling.

    Args:
        generator: Draws the pictures.
        judge: Classifies them.
        directions: The generator's directions.
        seed: Of the z to try; the first whose picture is neither red nor smiling is used.

    Raises:
        ModelUnavailable: This generator's direction towards red has not been computed.
        InvalidRequest: All ``BATCH`` pictures are red or smile.
    """
    import torch

    if directions is None or VALUE not in directions.attributes.get(CAUSE, {}):
        raise ModelUnavailable(
            "There is no direction towards red yet. Make it with: "
            "python -m training.find_directions --model, and the model's folder."
        )
    rng = torch.Generator("cpu").manual_seed(seed)
    starts = torch.randn(BATCH, generator.config.z_dim, generator=rng)
    for z, one in zip(starts, generate_judged(generator, judge, starts), strict=True):
        if one.color != VALUE and not one.smiles:
            towards = torch.from_numpy(directions.attributes[CAUSE][VALUE]).to(z)
            steps = torch.stack([z + strength * towards for strength in STRENGTHS])
            return generate_judged(generator, judge, steps)
    raise InvalidRequest(f"Seed {seed} gives only red or smiling critters. Try another seed.")


def generate_judged(generator: Generator, judge: Judge, z: torch.Tensor) -> list[JudgedPicture]:
    """Draw z (N, z_dim) and let the judge classify colour and mouth."""
    import torch

    weights = next(generator.parameters())
    with torch.inference_mode():
        images = generator(z.to(weights)).float()
        scores = judge(images.to(next(judge.parameters()).device))
    words = judge.config.values
    colors = [words[CAUSE][index] for index in scores[CAUSE].argmax(1).tolist()]
    mouths = [words[EFFECT][index] for index in scores[EFFECT].argmax(1).tolist()]
    return [
        JudgedPicture(to_image(image), color, mouth)
        for image, color, mouth in zip(images, colors, mouths, strict=True)
    ]
