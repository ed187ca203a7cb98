"""Finding the z for which a GAN draws a given picture, by optimisation. No Gradio here.

A GAN has no encoder, but its generator is differentiable: gradient descent on z minimises the
distance between its picture and the given one (Zhu et al. 2016, https://arxiv.org/abs/1609.03552).
The loss has many local minima, so the search starts from the best of many random z and optimises
several candidates at once, fewer and fewer of them.
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
SCALES = 3  # how often pictures are halved, to compare coarse shapes too
EDGE_WEIGHT = 0.5
PRIOR_WEIGHT = 0.01
LEARNING_RATE, LAST_LEARNING_RATE = 0.1, 0.005
MOMENTUM, SQUARE_MOMENTUM = 0.9, 0.99
# (share of the steps, share of the candidates that are optimised until then).
STAGES = ((0.15, 1.0), (0.45, 0.4), (1.0, 0.15))


class InversionRequest(Request):
    """How hard to search.

    Attributes:
        dataset: What the GAN was trained on.
        guesses: Random z to choose from.
        candidates: How many of them to optimise.
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
        step: Finished steps of the optimiser, from 0 to ``steps``.
        steps: All steps of the optimiser.
        tried: How many random z were tried.
        z: The z of the picture, (z_dim,).
        picture: The picture, RGB.
        closeness: How near it is to the given one.
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
        """Finished share of the steps, 0 to 1."""
        return self.step / self.steps


def invert(
    gan: Generator, picture: Image.Image, request: InversionRequest, stop: Event
) -> Iterator[InversionStep]:
    """Search for the z whose picture is nearest to ``picture``; yield the best so far.

    Gradients are taken with respect to z alone and never stored in the generator, so that other
    requests can use it at the same time.

    Args:
        gan: The model, in evaluation mode.
        picture: RGB; its centre square is scaled to the model's size.
        request: How hard to search.
        stop: Ends the search within one step. The last yielded step is the best.
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
    # Outside of inference mode: tensors made in it cannot have gradients.
    chosen = torch.cat(losses).clone().argsort()[: request.candidates]
    z = guesses[chosen]
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for step in range(1, request.steps + 1):
        if stop.is_set():
            return
        # Not across a yield: gradient mode belongs to the thread, which may change.
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            images = _draw(gan, leaf)
            loss = measure_distance(images, target)
            total = (loss + PRIOR_WEIGHT * leaf.square().mean(dim=1)).sum()
            (gradient,) = torch.autograd.grad(total, leaf)
        yield best.update("improve", step, best.tried, z, images.detach(), loss.detach())
        # Adam (Kingma and Ba 2015, https://arxiv.org/abs/1412.6980), whose state is kept for the
        # remaining candidates.
        keep = loss.detach().argsort()[: _count_candidates(step / request.steps, request)]
        z, mean, square, gradient = z[keep], mean[keep], square[keep], gradient[keep]
        mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        square = SQUARE_MOMENTUM * square + (1 - SQUARE_MOMENTUM) * gradient.square()
        direction = mean / (1 - MOMENTUM**step)
        scale = (square / (1 - SQUARE_MOMENTUM**step)).sqrt() + 1e-8
        z = z - _learning_rate(step / request.steps) * direction / scale


def measure_distance(images: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Return the distance of images (B, 3, H, W) to a target (1, 3, H, W), in [-1, 1]: (B,).

    It compares colours at several scales, since shapes that do not overlap yet do so at coarse
    ones, and edges, since nearly equal colours hide where a shape ends.
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
    """The nearest picture so far and its distance."""

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
        """Take the nearest of ``images`` if it is nearer than the best so far."""
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
    """Return how many candidates are still optimised after the share ``done`` of the steps."""
    part = next(part for until, part in STAGES if done <= until)
    return max(1, round(part * request.candidates))


def _learning_rate(done: float) -> float:
    """Half a cosine: large steps first, small ones in the end."""
    span = LEARNING_RATE - LAST_LEARNING_RATE
    return LAST_LEARNING_RATE + span * (1 + math.cos(math.pi * done)) / 2
