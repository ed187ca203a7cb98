"""A walk through latent space, from seed to seed, through both models. No Gradio here."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field

from demos.latent.generate import LatentRequest, Pair, decode, draw_z
from shared.errors import InvalidRequest
from shared.requests import MAX_SEED, Seed

if TYPE_CHECKING:
    import torch

    from shared.nets import VAE, Generator

FEWEST_SEEDS, MOST_SEEDS = 2, 8
WalkPath = Literal["spherical", "linear"]


class WalkRequest(LatentRequest):
    """A walk through the z of each of ``seeds``.

    Attributes:
        seeds: The seeds along the walk, in order; -1 draws one.
        path: ``spherical`` or ``linear`` interpolation; the first keeps the length of z.
        closed: Whether the walk returns from the last seed to the first.
        frames: Steps from one seed to the next, an even number.
        seed: The first of ``seeds``.
    """

    seeds: tuple[Seed, ...] = Field((-1, -1), min_length=FEWEST_SEEDS, max_length=MOST_SEEDS)
    path: WalkPath = "spherical"
    closed: bool = False
    frames: int = Field(32, ge=4, le=64, multiple_of=2)

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check ``values`` and draw each seed that is -1. Raises InvalidRequest."""
        request = super().parse(**values)
        seeds = [random.randint(0, MAX_SEED) if seed == -1 else seed for seed in request.seeds]
        return request.model_copy(update={"seeds": tuple(seeds), "seed": seeds[0]})

    @property
    def stops(self) -> tuple[int, ...]:
        """All seeds along the walk; the first is repeated at the end if it is closed."""
        return (*self.seeds, self.seeds[0]) if self.closed else self.seeds

    @property
    def length(self) -> int:
        """How many pictures of each model there are."""
        return (len(self.stops) - 1) * self.frames + (not self.closed)


@dataclass(frozen=True)
class WalkStep:
    """One frame of a walk.

    Attributes:
        position: How much of the walk is done, from 0 to 1.
        seed: The seed of this frame, None between two seeds.
        pair: Both models' pictures.
    """

    position: float
    seed: int | None
    pair: Pair


def read_seeds(text: str) -> tuple[int, ...]:
    """Read seeds such as "7, 12, 3".

    Raises:
        InvalidRequest: It is not a list of integers from -1 up, or has too few or too many.
    """
    words = re.split(r"[\s,;]+", str(text or "").strip(" \t\r\n,;"))
    advice = f"Write {FEWEST_SEEDS} to {MOST_SEEDS} of them with commas between, such as 7, 12, 3."
    if words == [""]:
        raise InvalidRequest(f"There are no seeds. {advice}")
    for word in words:
        shown = word if len(word) <= 20 else word[:17] + "..."
        if not re.fullmatch(r"[+-]?[0-9]+", word):
            raise InvalidRequest(f"“{shown}” is no seed: seeds are whole numbers. {advice}")
        # Length first: int() refuses numbers with thousands of digits.
        if len(word) > 20 or not -1 <= int(word) <= MAX_SEED:
            raise InvalidRequest(
                f"“{shown}” is no seed: a seed lies between 0 and {MAX_SEED:,}, and -1 draws one."
            )
    if not FEWEST_SEEDS <= len(words) <= MOST_SEEDS:
        given = "There is only one seed" if len(words) == 1 else f"There are {len(words)} seeds"
        raise InvalidRequest(f"{given}. {advice}")
    return tuple(int(word) for word in words)


def generate_walk(
    vae: VAE, gan: Generator, request: WalkRequest, stop: Event
) -> Iterator[WalkStep]:
    """Yield the ``request.length`` frames of a walk, or fewer after ``stop``.

    A closed walk leaves out its last frame, which equals its first, so that it loops smoothly.
    """
    stops = request.stops
    points = [draw_z(seed, gan.config.z_dim, request.truncation) for seed in stops]
    for frame in range(request.length):
        if stop.is_set():
            return
        leg, step = divmod(frame, request.frames)
        if step:
            z = interpolate(points[leg], points[leg + 1], step / request.frames, request.path)
        else:
            z = points[leg]
        position = frame / (request.frames * (len(stops) - 1))
        yield WalkStep(position, None if step else stops[leg], decode(vae, gan, z))


def interpolate(
    start: torch.Tensor, end: torch.Tensor, position: float, path: WalkPath
) -> torch.Tensor:
    """Return the point at ``position`` (0 to 1) between two latent vectors; the ends are exact.

    A straight line between two draws from N(0, I) passes nearer to the origin than either, where
    training has few samples. Spherical interpolation rotates from one direction to the other
    instead (White 2016, https://arxiv.org/abs/1609.04468); here the length changes linearly.
    Between opposite vectors there are many shortest arcs; the choice is deterministic. A vector of
    length 0 has no direction: from or to it, the interpolation is linear.
    """
    if position in (0, 1):
        return (end if position else start).clone()
    first, second = start.double(), end.double()
    lengths = float(first.norm()), float(second.norm())
    if path == "linear" or not min(lengths):
        return ((1 - position) * first + position * second).to(start)
    ahead = first / lengths[0]
    goal = second / lengths[1]
    cosine = float(ahead @ goal)
    aside = goal - cosine * ahead
    sine = float(aside.norm())
    if sine < 1e-7:  # parallel: rotate towards the axis that is most nearly perpendicular
        aside = aside.new_zeros(aside.shape)
        axis = int(ahead.abs().argmin())
        aside[axis] = 1
        aside -= ahead[axis] * ahead
    aside = aside / aside.norm()
    turn = position * math.atan2(sine, cosine)
    length = (1 - position) * lengths[0] + position * lengths[1]
    return (length * (math.cos(turn) * ahead + math.sin(turn) * aside)).to(start)
