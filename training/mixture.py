"""Pictures of several worlds as one training set."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from shared.critters.captions import Caption
from shared.critters.world import World
from training.pictures import Pictures


@dataclass(frozen=True)
class Mixture:
    """Pictures of several worlds with common indices.

    Attributes:
        parts: The pictures of each world.
        shares: Share of each in a batch; their sum is 1.
        images: (N, size, size, 3) uint8, of all worlds.
    """

    parts: Sequence[Pictures]
    shares: Sequence[float]
    images: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # No copy for a single world: critters take 270 MB.
        images = [part.images for part in self.parts]
        object.__setattr__(
            self, "images", images[0] if len(images) == 1 else np.concatenate(images)
        )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def worlds(self) -> list[World]:
        """The worlds of the pictures."""
        return [part.world for part in self.parts]

    @property
    def values(self) -> dict[str, tuple[str, ...]]:
        """Attribute -> its values in all worlds; a word means the same in each."""
        merged: dict[str, dict[str, None]] = {}
        for world in self.worlds:
            for name, words in world.values.items():
                merged.setdefault(name, {}).update(dict.fromkeys(words))
        return {name: tuple(words) for name, words in merged.items()}

    def choose(self, count: int) -> list[int]:
        """Draw the indices of ``count`` pictures at random, from each world by its share."""
        counts = torch.multinomial(torch.tensor(self.shares), count, replacement=True).bincount(
            minlength=len(self.parts)
        )
        chosen, first = [], 0
        for part, many in zip(self.parts, counts.tolist(), strict=True):
            chosen.append(first + torch.randint(len(part), (many,)))
            first += len(part)
        return torch.cat(chosen)[torch.randperm(count)].tolist()

    def find(self, index: int) -> tuple[Pictures, int]:
        """Return the world's pictures that contain ``index``, and the index there."""
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)

    def write_caption(
        self, index: int, rng: random.Random, *, drop: float = 0.0, clear: bool = False
    ) -> Caption:
        """Write a caption of one picture."""
        part, row = self.find(index)
        return part.write_caption(row, rng, drop=drop, clear=clear)

    def describe(self, index: int) -> dict[str, str]:
        """Return the attributes of one picture in words."""
        part, row = self.find(index)
        return part.describe(row)

    def first(self, count: int) -> Mixture:
        """Return the first pictures of each world by its share, ``count`` together at most."""
        parts = [
            part.select(slice(max(1, round(count * share))))
            for part, share in zip(self.parts, self.shares, strict=True)
        ]
        return Mixture(parts, self.shares)
