"""What all tabs of the image room share. No Gradio here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from demos.image.generate import DiffusionRequest
from shared.catalog import Catalog, ModelSpec
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.settings import Settings
from training.captions import read_worlds

HOLDER = "the image room"
BUNDLED = "image/critters"


@dataclass(frozen=True)
class ImageRoom:
    """The models of the room and where they are lent."""

    cache: ModelCache
    settings: Settings
    catalog: Catalog

    @property
    def worlds(self) -> tuple[str, ...]:
        """What the bundled model draws."""
        return read_worlds(self.settings.models_dir / "image-critters")

    def spec(self, model: str) -> ModelSpec:
        """Return the entry of a model of this room. Raises UnknownModel."""
        return self.catalog.get(model, "image")

    def recipe(self, model: str, request: DiffusionRequest) -> dict[str, Any]:
        """Write the recipe of what ``model`` makes of ``request``, whose seed is drawn.

        Settings that the request does not use are left out.
        """
        recipe = make_recipe(self.spec(model), request, self.settings)
        for name in request.unused:
            del recipe["settings"][name]
        return recipe


def name_file(spec: ModelSpec, seed: int, kind: str = "") -> str:
    """Name a file to keep, without its ending, such as ``critters-comparison-seed-7``.

    The title says which model it was: keys of models that visitors trained are theirs alone.
    """
    slug = re.sub(r"[^a-z0-9]+", "-", spec.title.lower()).strip("-")
    return "-".join(filter(None, (slug, kind, "seed", str(seed))))
