"""What all tabs of the text room share. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.catalog import Catalog, ModelSpec
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.requests import Request
from shared.settings import Settings

HOLDER = "the text room"
BUNDLED = "text/storyteller"


@dataclass(frozen=True)
class TextRoom:
    """The models of the room and where they are lent."""

    cache: ModelCache
    settings: Settings
    catalog: Catalog

    def spec(self, model: str) -> ModelSpec:
        """Return the entry of a model of this room. Raises UnknownModel."""
        return self.catalog.get(model, "text")

    def recipe(self, model: str, request: Request) -> dict[str, Any]:
        """Write the recipe of what ``model`` writes for ``request``, whose seed is drawn."""
        return make_recipe(self.writing_spec(model), request, self.settings)

    def writing_spec(self, model: str) -> ModelSpec:
        """Return the entry of what writes fastest with the weights of ``model``."""
        return self.catalog.get(self.catalog.writing_key(self.spec(model).key))

    def writes_together(self, model: str) -> bool:
        """Whether the texts of several visitors are written step by step together."""
        return not self.spec(model).gpu
