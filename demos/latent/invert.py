"""Finding the z for which a GAN draws a given picture, by optimisation. No Gradio here.

A GAN has no encoder. But its generator is differentiable, so one can ask of any z in which
direction the picture would come nearer to the given one, and walk there (Zhu et al. 2016,
https://arxiv.org/abs/1609.03552). The landscape is full of hollows: hence the best of many random
starts, several of which are followed at once, fewer and fewer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import Field

from demos.latent.generate import to_image
from demos.latent.reconstruct import Closeness, compare, fit, to_tensor
from shared.requests import Request

if TYPE_CHECKING:
    import torch

    from shared.nets import Generator

GUESSES_AT_ONCE = 32
SCALES = 3  # how often pictures are halved to compare their larger shapes, too
EDGE_WEIGHT = 0.5
PRIOR_WEIGHT = 0.01
LEARNING_RATE, LAST_LEARNING_RATE = 0.1, 0.005
MOMENTUM, SQUARE_MOMENTUM = 0.9, 0.99
# Until which share of the steps is done, which share of the candidates is followed.
STAGES = ((0.15, 1.0), (0.45, 0.4), (1.0, 0.15))


class InversionRequest(Request):
    """How hard to search.

    Attributes:
        dataset: What the GAN was trained on.
        guesses: Random z to choose from.
        candidates: How many of them to follow.
        steps: Steps of the optimiser.
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    guesses: int = Field(256, ge=1, le=2048)
    candidates: int = Field(16, ge=1, le=64)
    steps: int = Field(240, ge=1, le=2000)


@dataclass(frozen=True)
class InversionStep:
    """The nearest picture so far.

    Attributes:
        phase: ``guess`` while random z are tried, then ``improve``.
        step: How many steps of the optimiser are done, from 0 to ``steps``.
        steps: How many there will be.
        tried: How many random z were tried.
        z: What the generator draws the picture from, (z_dim,).
        picture: The picture, RGB.
        closeness: How near it is to the one that was given.
    """

    phase: str
    step: int
    steps: int
    tried: int
    z: np.ndarray
    picture: Image.Image
    closeness: Closeness

    @property
    def progress(self) -> float:
        """Share of the steps that are done, from 0 to 1."""
        return self.step / self.steps


def invert(
    gan: Generator, picture: Image.Image, request: InversionRequest, stop: Event
) -> Iterator[InversionStep]:
    """Search for the z whose picture is nearest to ``picture``; each step is the best so far.

    The generator is only read: gradients are taken with respect to z alone and never stored, so
    that others may use it at the same time.

    Args:
        gan: The model, in evaluation mode.
        picture: RGB; its middle square is scaled to the model's size.
        request: How hard to search.
        stop: Ends the search within one step. The last step that was yielded is the best found.
    """
    import torch

    rng = torch.Generator("cpu").manual_seed(request.seed)
    target = to_tensor(fit(picture, gan.config.image_size)).to(next(gan.parameters()).device)
    guesses = torch.randn(request.guesses, gan.config.z_dim, generator=rng).to(target)

    best = _Best(target, request.steps)
    losses: list[torch.Tensor] = []
    for chunk in guesses.split(GUESSES_AT_ONCE):
        if stop.is_set() and losses:
            return
        with torch.inference_mode():
            images = _draw(gan, chunk)
            losses.append(measure_distance(images, target))
        yield best.update("guess", 0, best.tried + len(chunk), chunk, images, losses[-1])
    # Out of inference mode: what is made in it can have no gradients.
    chosen = torch.cat(losses).clone().argsort()[: request.candidates]
    z = guesses[chosen]
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, request.steps + 1):
        if stop.is_set():
            return
        # Not over a yield: whether gradients are recorded is a property of the thread.
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            images = _draw(gan, leaf)
            loss = measure_distance(images, target)
            total = (loss + PRIOR_WEIGHT * leaf.square().mean(dim=1)).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
        yield best.update("improve", step, best.tried, z, images.detach(), loss.detach())
        # Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), whose state goes with the
        # candidates that are kept.
        keep = loss.detach().argsort()[: _count_candidates(step / request.steps, request)]
        z, mean, square, gradient = z[keep], mean[keep], square[keep], gradient[keep]
        mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        square = SQUARE_MOMENTUM * square + (1 - SQUARE_MOMENTUM) * gradient.square()
        direction = mean / (1 - MOMENTUM**step)
        scale = (square / (1 - SQUARE_MOMENTUM**step)).sqrt() + 1e-8
        z = z - _learning_rate(step / request.steps) * direction / scale


def measure_distance(images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """How far images (B, 3, H, W) are from one target (1, 3, H, W), in [-1, 1]: (B,).

    Colours at several scales, since of shapes that lie side by side the coarse ones are the first
    to overlap; and edges, since a colour that is nearly right hides where a shape ends.
    """
    import torch.nn.functional as F

    def gap(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        return (first - second).abs().mean(dim=(1, 2, 3))

    distance = gap(images, target)
    for axis in (-1, -2):
        distance = distance + EDGE_WEIGHT * gap(images.diff(dim=axis), target.diff(dim=axis))
    for _ in range(SCALES):
        images, target = F.avg_pool2d(images, 2), F.avg_pool2d(target, 2)
        distance = distance + gap(images, target) / SCALES
    return distance


class _Best:
    """The nearest picture so far. Its distance is kept as well, since not every step is nearer."""

    def __init__(self, target: torch.Tensor, steps: int) -> None:
        self.target, self.steps, self.tried, self.distance = target, steps, 0, math.inf

    def update(
        self,
        phase: str,
        step: int,
        tried: int,
        z: torch.Tensor,
        images: torch.Tensor,
        distances: torch.Tensor,
    ) -> InversionStep:
        """Take the nearest of ``images`` if it is nearer than what there was."""
        self.tried = tried
        index = int(distances.argmin())
        if float(distances[index]) < self.distance:
            self.distance = float(distances[index])
            self.z = z[index].detach().float().cpu().numpy()
            self.picture = to_image(images[index])
            self.closeness = compare(images[index : index + 1], self.target)
        return InversionStep(phase, step, self.steps, tried, self.z, self.picture, self.closeness)


def _draw(gan: Generator, z: torch.Tensor) -> torch.Tensor:
    """Draw z (B, z_dim) in float32, whatever the precision of the weights."""
    return gan(z.to(next(gan.parameters()))).float()


def _count_candidates(done: float, request: InversionRequest) -> int:
    """How many candidates are still followed when the share ``done`` of the steps is done."""
    part = next(part for until, part in STAGES if done <= until)
    return max(1, round(part * request.candidates))


def _learning_rate(done: float) -> float:
    """Large steps first, small ones in the end (half a cosine)."""
    span = LEARNING_RATE - LAST_LEARNING_RATE
    return LAST_LEARNING_RATE + span * (1 + math.cos(math.pi * done)) / 2
