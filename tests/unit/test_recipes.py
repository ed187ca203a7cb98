from __future__ import annotations

import json

from shared.catalog import Catalog
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
