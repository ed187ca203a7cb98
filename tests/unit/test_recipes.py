from __future__ import annotations

import json
from dataclasses import replace

from shared.catalog import Catalog
from shared.catalog.spec import VISITOR_PREFIX
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


def test_a_recipe_does_not_give_away_a_visitors_own_model() -> None:
    settings = Settings(device="cpu")
    like = Catalog(settings).get("image/critters")
    spec = replace(like, key=f"image/{VISITOR_PREFIX}5ec2e7")
    recipe = Recipe.of(spec, Wish.parse(seed=5), settings)
    assert recipe.model == "image/trained-by-a-visitor"
    assert "5ec2e7" not in recipe.to_json()
