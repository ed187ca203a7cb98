from __future__ import annotations

import json
from dataclasses import replace

from shared.catalog import Catalog
from shared.catalog.spec import VISITOR_PREFIX
from shared.recipes import make_recipe
from shared.requests import Request
from shared.settings import Settings


class Wish(Request):
    prompt: str = "a fox"


def test_a_recipe_says_what_was_made_with_what() -> None:
    settings = Settings(device="cpu")
    recipe = make_recipe(Catalog(settings).get("image/critters"), Wish.parse(seed=5), settings)
    assert (recipe["model"], recipe["revision"]) == ("image/critters", "bundled")
    assert (recipe["seed"], recipe["settings"]) == (5, {"prompt": "a fox"})
    assert recipe["dtype"] == "float32"
    assert set(recipe["libraries"]) == {"torch", "transformers", "diffusers", "python"}
    assert json.loads(json.dumps(recipe)) == recipe, "nothing but plain JSON"


def test_a_recipe_does_not_give_away_a_visitors_own_model() -> None:
    settings = Settings(device="cpu")
    like = Catalog(settings).get("image/critters")
    spec = replace(like, key=f"image/{VISITOR_PREFIX}5ec2e7")
    recipe = make_recipe(spec, Wish.parse(seed=5), settings)
    assert recipe["model"] == "image/trained-by-a-visitor"
    assert "5ec2e7" not in json.dumps(recipe)
