"""Recipes: all that is needed to make the same output again."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from shared.devices import pick_device, pick_dtype
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.catalog import ModelSpec
    from shared.requests import Request

GALLERY_VERSION = "0.1.0"
_LIBRARIES = ("torch", "transformers", "diffusers")


def _library_versions() -> dict[str, str]:
    return {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True)
class Recipe:
    """The record of one output. The same recipe on the same machine gives the same output.

    Attributes:
        model: Key in the catalogue.
        revision: Which weights: ``bundled`` for ours, the commit of a hub model, the name and
            version of a package, ``local`` for a folder of the operator.
        seed: The seed that was used, never -1.
        settings: The rest of the request.
    """

    model: str
    revision: str
    seed: int
    settings: dict[str, Any]
    dtype: str
    gallery: str = GALLERY_VERSION
    libraries: dict[str, str] = field(default_factory=_library_versions)
    made: str = field(default_factory=_now)

    @classmethod
    def of(cls, spec: ModelSpec, request: Request, settings: Settings) -> Recipe:
        """Write down what ``request`` asked of the model of ``spec``; its seed must be drawn."""
        device = pick_device(settings.device if spec.gpu else "cpu")
        return cls(
            model=spec.public_key,
            revision=spec.pick(settings).version,
            seed=request.seed,
            settings=request.model_dump(exclude={"seed"}),
            dtype=spec.dtype or str(pick_dtype(device)).removeprefix("torch."),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain JSON values."""
        return asdict(self)

    def to_json(self) -> str:
        """Write the recipe as indented JSON."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """Read what ``to_json`` wrote. Raises ValueError or TypeError on anything else."""
        return cls(**json.loads(text))
