"""What every tab of the latent-space room needs: the models, and how to lease them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from demos.latent.directions import Directions, read_directions
from demos.latent.generate import LatentRequest
from shared.catalog import Catalog, ModelSpec
from shared.errors import InvalidRequest
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.nets import VAE, Generator

HOLDER = "the latent space room"


@dataclasses.dataclass(frozen=True)
class LatentRoom:
    """The room's way to its models.

    Attributes:
        cache: Where models are leased.
        settings: Those of the process.
        catalog: What models there are.
    """

    cache: ModelCache
    settings: Settings
    catalog: Catalog

    @property
    def datasets(self) -> list[str]:
        """What there is a VAE and a GAN for."""
        names = [spec.key.removeprefix("latent/") for spec in self.catalog.for_task("latent")]
        return [name.removesuffix("-vae") for name in names if name.endswith("-vae")]

    def models(self, dataset: str) -> tuple[ModelSpec, ModelSpec]:
        """Return the VAE and the GAN of ``dataset``.

        Raises:
            InvalidRequest: There is no such dataset; the message names those that there are.
        """
        if dataset not in self.datasets:
            raise InvalidRequest(
                f"There is no dataset {str(dataset)[:60]!r}. There are: {', '.join(self.datasets)}."
            )
        return (
            self.catalog.get(f"latent/{dataset}-vae"),
            self.catalog.get(f"latent/{dataset}-gan"),
        )

    @contextmanager
    def lease(self, dataset: str) -> Iterator[tuple[VAE, Generator]]:
        """Hold both models of ``dataset`` until the block ends."""
        vae_spec, gan_spec = self.models(dataset)
        with (
            self.cache.lease(vae_spec.key, HOLDER) as vae,
            self.cache.lease(gan_spec.key, HOLDER) as gan,
        ):
            yield vae, gan

    def directions(self, spec: ModelSpec) -> Directions | None:
        """Read the directions of a model; None if it is not here or nobody has looked for any.

        Raises:
            ModelUnavailable: The file is damaged.
        """
        if not spec.is_here(self.settings):
            return None
        return read_directions(spec.pick(self.settings).fetch(self.settings, lambda *_: None))

    def recipe(self, request: LatentRequest) -> dict[str, Any]:
        """Write the recipe of ``request``; its settings name both models."""
        vae_spec, gan_spec = self.models(request.dataset)
        recipe = make_recipe(vae_spec, request, self.settings)
        recipe["settings"]["models"] = [vae_spec.key, gan_spec.key]
        return recipe
