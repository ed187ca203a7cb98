"""What all tabs of the music room share. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.catalog import Catalog, ModelSpec
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.requests import Request
from shared.settings import Settings

HOLDER = "the music room"
BUNDLED = "music/tunes"


@dataclass(frozen=True)
class MusicRoom:
    """The models of the room and where they are lent."""

    cache: ModelCache
    settings: Settings
    catalog: Catalog

    def spec(self, model: str) -> ModelSpec:
        """Return the entry of a model of this room. Raises UnknownModel."""
        return self.catalog.get(model, "music")

    def recipe(self, model: str, request: Request) -> dict[str, Any]:
        """Write the recipe of what ``model`` makes of ``request``, whose seed is drawn."""
        return make_recipe(self.spec(model), request, self.settings)
