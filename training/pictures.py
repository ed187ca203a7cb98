"""Sets of labelled pictures to train on and to measure with.

    python -m training.pictures --count 20000
    python -m training.pictures --count 50000 --skew smiling
    python -m training.pictures --world sprouts --count 16000

draws the pictures and caches them in ``.cache/training``; the training scripts do the same if they
are missing. ``shared/critters`` defines the pictures.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from shared.critters.attributes import CRITTERS, SKEWS, VALUES, sample_attributes
from shared.critters.captions import Caption, write_caption
from shared.critters.world import Attributes, World
from shared.critters.worlds import WORLDS
from training import common

# Below this many pictures, starting worker processes takes longer than drawing.
_WORTH_WORKERS = 500
_REPORT_EVERY = 25


@dataclass(frozen=True)
class Pictures:
    """Pictures of one world and their attributes.

    Attributes:
        images: (N, size, size, 3) uint8, RGB.
        attributes: Name -> (N,) int64, an index into ``world.values[name]``.
        world: Their world.
    """

    images: np.ndarray
    attributes: dict[str, np.ndarray]
    world: World

    def __len__(self) -> int:
        return len(self.images)

    def describe(self, index: int) -> dict[str, str]:
        """Return the attributes of one picture in words."""
        return self.world.describe(self.attributes, index)

    def write_caption(
        self, index: int, rng: random.Random, *, drop: float = 0.0, clear: bool = False
    ) -> Caption:
        """Write a caption of one picture."""
        words = self.describe(index)
        return write_caption(words, rng, self.world.grammar, drop=drop, clear=clear)

    def select(self, chosen: np.ndarray | slice) -> Pictures:
        """Return those of ``chosen``, (N,) bool or a slice."""
        attributes = {name: column[chosen] for name, column in self.attributes.items()}
        return Pictures(self.images[chosen], attributes, self.world)

    def without_held_out(self) -> Pictures:
        """Return those with no held-out pair."""
        return self.select(self.world.count_held_out(self.attributes) == 0)


def load_pictures(
    world: World,
    count: int,
    *,
    seed: int,
    size: int = 64,
    report: Callable[[int], None] | None = None,
) -> Pictures:
    """Return ``count`` pictures of ``size`` pixels, drawn on first use and cached after that.

    The same ``seed`` gives the same attributes and pictures; use another for held-out ones.
    ``report`` is called with the number of pictures so far; one core then draws them all.
    """
    attributes = world.sample(count, np.random.default_rng(seed))
    path = pictures_file(world.name, count, seed=seed, size=size)
    images = keep_images(path, lambda: draw_all(world, attributes, size, report))
    return Pictures(images, attributes, world)


def critters_file(count: int, *, seed: int, size: int = 64, skew: str | None = None) -> Path:
    """Return the cache file of ``load_critters``."""
    return pictures_file(skew or CRITTERS.name, count, seed=seed, size=size)


def load_critters(
    count: int = 20_000,
    *,
    seed: int = 0,
    size: int = 64,
    skew: str | None = None,
    report: Callable[[int], None] | None = None,
) -> Pictures:
    """Return ``count`` critters, with a skew if one is given: see ``load_pictures``.

    Raises:
        KeyError: There is no such ``skew`` in ``SKEWS``.
    """
    if not skew:
        return load_pictures(CRITTERS, count, seed=seed, size=size, report=report)
    attributes = sample_attributes(count, seed=seed, skew=skew)

    def draw() -> np.ndarray:
        fair = load_pictures(CRITTERS, count, seed=seed, size=size)  # most pictures are the same
        changed = np.any([attributes[name] != fair.attributes[name] for name in VALUES], axis=0)
        images = fair.images.copy()
        images[changed] = draw_all(
            CRITTERS,
            {name: column[changed] for name, column in attributes.items()},
            size,
            report,
        )
        return images

    path = critters_file(count, seed=seed, size=size, skew=skew)
    return Pictures(keep_images(path, draw), attributes, CRITTERS)


def draw_all(
    world: World, attributes: Attributes, size: int, report: Callable[[int], None] | None = None
) -> np.ndarray:
    """Draw every row of ``attributes``, on one core for few pictures or with ``report``."""
    count = len(next(iter(attributes.values())))
    rows = [world.describe(attributes, row) for row in range(count)]
    draw = partial(world.render, size=size)
    if report or count < _WORTH_WORKERS:
        images = []
        for row in rows:
            images.append(draw(row))
            if report and len(images) % _REPORT_EVERY == 0:
                report(len(images))
        return np.stack(images)
    # Spawned, since a process with torch's threads must not be forked.
    with multiprocessing.get_context("spawn").Pool() as pool:
        drawn = pool.imap(draw, rows, chunksize=64)
        return np.stack(list(tqdm(drawn, total=count, desc=world.name, unit="picture")))


def pictures_file(name: str, count: int, *, seed: int, size: int = 64) -> Path:
    """Return the cache file of some pictures."""
    return common.DATA_CACHE / f"{name}-{size}-{seed}-{count}.npz"


def keep_images(path: Path, draw: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the images in ``path``; if it is missing, ``draw`` them and write it."""
    if path.exists():
        return np.load(path)["images"]
    images = draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.partial")
    with unfinished.open("wb") as file:
        np.savez_compressed(file, images=images)
    os.replace(unfinished, path)
    return images


def main() -> None:
    """Draw and cache the pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", choices=tuple(WORLDS), default="critters")
    parser.add_argument("--count", type=int, default=20_000, help="how many pictures")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int, default=64, help="pixels a side")
    parser.add_argument("--skew", choices=tuple(SKEWS), help="an unfair set of critters")
    arguments = parser.parse_args()
    count, seed, size = arguments.count, arguments.seed, arguments.size
    if arguments.skew:
        if arguments.world != "critters":
            parser.error("only critters have a skew")
        pictures = load_critters(count, seed=seed, size=size, skew=arguments.skew)
    else:
        pictures = load_pictures(WORLDS[arguments.world], count, seed=seed, size=size)
    print(f"{len(pictures):,} {arguments.world}, for example {pictures.describe(0)}")


if __name__ == "__main__":
    main()
