"""Whether the nearest training pictures are found among those that are not here."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from demos.latent.neighbours import TRAINING_PICTURES, draw_fresh, find_neighbours, training_rows
from shared.critters.attributes import VALUES, render_critter
from shared.critters.picture_metrics import to_model_range
from shared.nets import Judge
from training.critter_classifier import load_judge


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


def draw_row(row: int, **changes: str) -> Image.Image:
    words = {name: VALUES[name][int(column[row])] for name, column in training_rows().items()}
    return Image.fromarray(render_critter({**words, **changes}))


def test_a_training_picture_finds_itself(judge: Judge) -> None:
    rows = [7, 49_999]
    for row, near in zip(
        rows, find_neighbours(judge, [draw_row(row) for row in rows]), strict=True
    ):
        assert near[0].row == row
        assert near[0].distance == pytest.approx(0, abs=0.1)
        assert near[0].shared == near[0].of
        assert near[0].picture.tobytes() == draw_row(row).tobytes()
        assert [one.distance for one in near] == sorted(one.distance for one in near)
        assert near[1].distance > 1


def test_a_changed_mouth_is_still_near_and_is_told(judge: Judge) -> None:
    mouth = VALUES["mouth"][int(training_rows()["mouth"][7])]
    other = next(word for word in VALUES["mouth"] if word != mouth)
    near = find_neighbours(judge, [draw_row(7, mouth=other)], count=8)[0]
    found = {one.row: one for one in near}
    assert len(near) == 8
    assert found[7].shared == found[7].of - 1


def test_no_picture_is_refused_however_strange(judge: Judge) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    plain = np.zeros((64, 64, 3), dtype=np.uint8)
    for near in find_neighbours(judge, [Image.fromarray(noise), Image.fromarray(plain)]):
        assert len(near) == 4
        assert all(0 <= one.row < TRAINING_PICTURES for one in near)


def test_the_short_list_holds_nearly_the_nearest_of_many(judge: Judge) -> None:
    """Against looking at every one of 1,500 training pictures."""
    rows = np.arange(1500)
    everything = np.stack([np.asarray(draw_row(int(row))) for row in rows])
    with torch.inference_mode():
        features = torch.cat(
            [judge.extract_features(part) for part in to_model_range(everything).split(250)]
        )
    fresh = [draw_fresh(seed) for seed in range(6)]
    with torch.inference_mode():
        own = judge.extract_features(to_model_range(np.stack([np.asarray(one) for one in fresh])))
    nearest = torch.cdist(own, features).min(dim=1).values.tolist()
    for near, bound in zip(find_neighbours(judge, fresh), nearest, strict=True):
        assert near[0].distance <= bound * 1.01


def test_a_seed_gives_one_fresh_critter() -> None:
    assert draw_fresh(3).tobytes() == draw_fresh(3).tobytes()
    assert draw_fresh(3).tobytes() != draw_fresh(4).tobytes()
