"""What the image room writes down: recipes, and the names of files to keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from demos.image.between import BetweenRequest
from demos.image.compare import CompareRequest
from demos.image.generate import DiffusionRequest, ImageRequest
from demos.image.run import BUNDLED
from demos.image.show import name_file
from shared.catalog import Catalog
from shared.model_cache import ModelCache
from shared.room import Room
from shared.settings import Settings


@pytest.fixture
def room() -> Room:
    """A room in which nothing is loaded."""
    settings = Settings(device="cpu")
    cache: Any = ModelCache  # no recipe asks for it
    return Room("image", cache, Catalog(settings))


@pytest.mark.parametrize(
    ("request_", "unused"),
    [
        (ImageRequest.parse(seed=1), set()),
        (
            CompareRequest.parse(seed=1, vary="guidance_scale"),
            {"guidance_scale", "schedulers", "finish"},
        ),
        (
            CompareRequest.parse(seed=1, vary="num_inference_steps", values=(1, 2)),
            {"num_inference_steps", "schedulers", "finish"},
        ),
        (
            CompareRequest.parse(seed=1, vary="scheduler", values=(1, 2)),
            {"num_inference_steps", "scheduler"},
        ),
        (BetweenRequest.parse(seed=1, what="noise"), {"second_prompt"}),
        (BetweenRequest.parse(seed=1, what="words", second_prompt="a"), {"distance", "way"}),
    ],
)
def test_a_recipe_lists_what_was_used_and_makes_the_same_request(
    room: Room, request_: DiffusionRequest, unused: set[str]
) -> None:
    recipe = room.recipe(BUNDLED, request_)
    assert set(recipe["settings"]) == set(type(request_).model_fields) - unused - {"seed"}
    assert type(request_).parse(seed=recipe["seed"], **recipe["settings"]) == request_


def test_files_are_named_for_the_model_and_the_seed(room: Room) -> None:
    spec = room.spec(BUNDLED)
    assert name_file(spec, 7) == "critters-seed-7"
    visitors = replace(spec, title="Yours, 5 minutes", key="image/guest-secret")
    assert name_file(visitors, 7, "changed") == "yours-5-minutes-changed-seed-7"
