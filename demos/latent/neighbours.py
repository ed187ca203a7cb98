"""Finds the training pictures nearest to a picture, to show memorisation. No Gradio here.

The training pictures are not stored, but their attributes can be drawn again: the same seed gives
the same 50,000 rows. A classifier reads the attributes of a picture, the best matching rows are
rendered, and the nearest of these pictures are found in the classifier's features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from pydantic import Field

from shared.requests import Request

if TYPE_CHECKING:
    from shared.nets import Judge

TRAINING_PICTURES, TRAINING_SEED = 50_000, 0
SHORTLIST = 40  # rows that are rendered and compared, for each picture
SURE = 1e-4  # smallest probability, since the classifier may err about a blurred picture


class NeighbourRequest(Request):
    """Find the neighbours of both pictures of ``seed``, and of a new real critter.

    Attributes:
        dataset: What both models were trained on.
        truncation: Factor on z.
    """

    dataset: str = Field("critters", min_length=1, max_length=60)
    truncation: float = Field(1.0, ge=0.0, le=2.0)


@dataclass(frozen=True)
class Neighbour:
    """A training picture near another picture.

    Attributes:
        picture: RGB.
        row: Its index among the training pictures.
        distance: In the classifier's features.
        shared: How many of its attributes the other picture shows too.
        of: How many attributes are visible in it.
    """

    picture: Image.Image
    row: int
    distance: float
    shared: int
    of: int


def find_neighbours(
    judge: Judge, pictures: Sequence[Image.Image], count: int = 4
) -> list[list[Neighbour]]:
    """Find the training pictures nearest to each of ``pictures``, nearest first.

    Args:
        judge: The classifier.
        pictures: RGB, 64 x 64.
        count: How many neighbours of each.
    """
    import torch

    from shared.critters.attributes import BARE, VALUES, render_critter
    from shared.critters.picture_metrics import to_model_range

    rows = training_rows()
    device = next(judge.parameters()).device
    with torch.inference_mode():
        images = to_model_range(np.stack([np.asarray(one) for one in pictures])).to(device)
        features = judge.extract_features(images)
        scores = {
            name: head(features).softmax(1).clamp(min=SURE).log().cpu().numpy()
            for name, head in judge.heads.items()
        }
    bare = rows["top"] == BARE
    found = []
    for index in range(len(pictures)):
        fit = np.zeros(TRAINING_PICTURES)
        for name, score in scores.items():
            likely = score[index][rows[name]]
            fit += np.where(bare, 0.0, likely) if name == "accent" else likely
        shortlist = np.argpartition(-fit, SHORTLIST)[:SHORTLIST]
        words = [{name: VALUES[name][int(rows[name][row])] for name in VALUES} for row in shortlist]
        drawn = np.stack([render_critter(one) for one in words])
        with torch.inference_mode():
            drawn_features = judge.extract_features(to_model_range(drawn).to(device))
            distances = torch.cdist(features[index : index + 1], drawn_features)[0].cpu().numpy()
        seen = {name: VALUES[name][int(score[index].argmax())] for name, score in scores.items()}
        found.append(
            [
                _describe(drawn[place], int(shortlist[place]), distances[place], words[place], seen)
                for place in np.argsort(distances)[:count]
            ]
        )
    return found


def draw_fresh(seed: int) -> Image.Image:
    """Draw a real critter that is not in the training set, except by chance (1 in 86)."""
    from shared.critters.attributes import VALUES, render_critter

    rng = np.random.default_rng((seed, TRAINING_PICTURES))
    return Image.fromarray(render_critter({name: str(rng.choice(VALUES[name])) for name in VALUES}))


@cache
def training_rows() -> dict[str, np.ndarray]:
    """Return the attributes of all training pictures: attribute -> (50,000,)."""
    from shared.critters.attributes import sample_attributes

    return sample_attributes(TRAINING_PICTURES, seed=TRAINING_SEED)


def _describe(
    pixels: np.ndarray, row: int, distance: float, words: dict[str, str], seen: dict[str, str]
) -> Neighbour:
    visible = [name for name in words if name != "accent" or words["top"] != "nothing"]
    shared = sum(words[name] == seen[name] for name in visible)
    return Neighbour(Image.fromarray(pixels), row, float(distance), shared, len(visible))
