from __future__ import annotations

import json

from shared.catalog import Catalog
from shared.recipes import Recipe
from shared.requests import Request
from shared.settings import Settings


class Wish(Request):
    prompt: str = "a fox"


def make_recipe() -> Recipe:
    settings = Settings(device="cpu")
    return Recipe.of(Catalog(settings).get("image/critters"), Wish.parse(seed=5), settings)


def test_a_recipe_says_what_was_made_with_what() -> None:
    recipe = make_recipe()
    assert (recipe.model, recipe.revision, recipe.seed) == ("image/critters", "bundled", 5)
    assert recipe.settings == {"prompt": "a fox"}
    assert recipe.dtype == "float32"
    assert set(recipe.libraries) == {"torch", "transformers", "diffusers", "python"}


def test_json_round_trip() -> None:
    recipe = make_recipe()
    assert Recipe.from_json(recipe.to_json()) == recipe
    assert json.loads(recipe.to_json())["settings"]["prompt"] == "a fox"
