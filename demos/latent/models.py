"""The pairs of models of the latent-space room: a VAE and a GAN for each data set. No Gradio."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from demos.latent.directions import Directions, read_directions
from demos.latent.generate import LatentRequest
from shared.catalog import Catalog, ModelSpec
from shared.errors import InvalidRequest
from shared.recipes import make_recipe
from shared.room import Room
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.nets import VAE, Generator


def list_datasets(catalog: Catalog) -> list[str]:
    """Return the data sets that have both a VAE and a GAN."""
    names = [spec.key.removeprefix("latent/") for spec in catalog.for_task("latent")]
    return [name.removesuffix("-vae") for name in names if name.endswith("-vae")]


def find_pair(catalog: Catalog, dataset: str) -> tuple[ModelSpec, ModelSpec]:
    """Return the VAE and the GAN of ``dataset``.

    Raises:
        InvalidRequest: There is no such dataset; the message lists them.
    """
    datasets = list_datasets(catalog)
    if dataset not in datasets:
        raise InvalidRequest(
            f"There is no dataset {str(dataset)[:60]!r}. There are: {', '.join(datasets)}."
        )
    return catalog.get(f"latent/{dataset}-vae"), catalog.get(f"latent/{dataset}-gan")


def pair_keys(catalog: Catalog, dataset: str) -> tuple[str, str]:
    """Return the keys of both models, for ``Room.run``."""
    vae, gan = find_pair(catalog, dataset)
    return vae.key, gan.key


@contextmanager
def lease_pair(room: Room, dataset: str) -> Iterator[tuple[VAE, Generator]]:
    """Lease both models of ``dataset`` for milliseconds; for longer work use ``Room.run``."""
    vae_key, gan_key = pair_keys(room.catalog, dataset)
    with (
        room.cache.lease(vae_key, room.holder) as vae,
        room.cache.lease(gan_key, room.holder) as gan,
    ):
        yield vae, gan


def find_directions(settings: Settings, spec: ModelSpec) -> Directions | None:
    """Read the directions of a model; None if the model or its file is missing.

    Raises:
        ModelUnavailable: The file is damaged.
    """
    if not spec.is_here(settings):
        return None
    return read_directions(spec.pick(settings).fetch(settings, lambda *_: None))


def pair_recipe(room: Room, request: LatentRequest) -> dict[str, Any]:
    """Write the recipe of ``request``; its settings name both models."""
    vae_spec, gan_spec = find_pair(room.catalog, request.dataset)
    recipe = make_recipe(vae_spec, request, room.settings)
    recipe["settings"]["models"] = [vae_spec.key, gan_spec.key]
    return recipe
