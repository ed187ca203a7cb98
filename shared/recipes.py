"""Recipes: everything needed to generate the same output again."""

from __future__ import annotations

import platform
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


def make_recipe(spec: ModelSpec, request: Request, settings: Settings) -> dict[str, Any]:
    """Make the recipe of ``request``, whose seed must be drawn, with the model of ``spec``.

    The same recipe on the same machine gives the same output. Its fields are JSON values:

    - ``model``: key in the catalogue.
    - ``revision``: the version of the weights: ``bundled``, the commit of a hub model, the name
      and version of a package, or ``local`` for a folder of the operator.
    - ``seed``: the seed that was used, never -1.
    - ``settings``: the rest of the request.
    - ``dtype``, ``gallery``, ``libraries``, ``made``: number format, versions, and when.
    """
    device = pick_device(settings.device if spec.gpu else "cpu")
    return {
        "model": spec.public_key,
        "revision": spec.pick(settings).version,
        "seed": request.seed,
        "settings": request.model_dump(exclude={"seed"}),
        "dtype": spec.dtype or str(pick_dtype(device)).removeprefix("torch."),
        "gallery": GALLERY_VERSION,
        "libraries": _library_versions(),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
