"""The type of a catalogue entry: a model's sources, loader and defaults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import ModelUnavailable
from shared.hub import Hub
from shared.loader import Report
from shared.settings import Settings
from shared.sources import Bundled, Folder, Source

if TYPE_CHECKING:
    import torch

Task = Literal["text", "image", "music", "latent"]
Load = Callable[[Path, "Placement"], Any]
VISITOR_PREFIX = "guest-"  # begins the names of visitors' own models


def is_visitor_model(key: str) -> bool:
    """Whether ``key`` belongs to a visitor's own model. Anyone who knows it can use the model."""
    return f"/{VISITOR_PREFIX}" in key


def public_key(key: str) -> str:
    """Return ``key`` for others to read: the same for all visitors' models of a room."""
    return f"{key.split('/')[0]}/trained-by-a-visitor" if is_visitor_model(key) else key


@dataclass(frozen=True)
class Placement:
    """Device and dtype of a model.

    Attributes:
        device: Device of its weights.
        dtype: Dtype of its weights.
        offload: A GPU that is too small for the whole model: a pipeline in host memory moves its
            components there one at a time.
    """

    device: torch.device
    dtype: torch.dtype
    offload: torch.device | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model of the catalogue.

    Attributes:
        key: ``task/name``, for endpoints and the cache.
        title: Name on the page.
        licence: Licence of the weights.
        parameters: Number of weights; 0 if unknown.
        summary: One sentence: what it is and what it was trained on.
        load: Loads a checkpoint folder.
        sources: Where the folder comes from: the first that is here, else the last.
        defaults: Default parameters of this model, in place of the room's.
        sizes: Side lengths in pixels that an image model supports, besides its native one.
        gpu: Whether it is faster on a GPU; if not, it always runs on the CPU.
        is_batched: Whether several requests run in one batch.
        memory: Bytes in memory, if they do not follow from ``parameters``.
        dtype: Dtype of its weights, if the device does not decide it.
        engine: The same model for a faster library that only generates; not listed.
    """

    key: str
    title: str
    licence: str
    parameters: int
    summary: str
    load: Load
    sources: tuple[Source, ...]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    sizes: tuple[int, ...] = ()
    gpu: bool = True
    is_batched: bool = False
    memory: int | None = None
    dtype: str | None = None
    engine: ModelSpec | None = None

    @property
    def task(self) -> str:
        """The room it belongs to: text, image, music or latent."""
        return self.key.split("/")[0]

    @property
    def public_key(self) -> str:
        """The key for others to read, in files and metrics."""
        return public_key(self.key)

    @property
    def bundled(self) -> bool:
        """Whether it comes with the repository."""
        return any(isinstance(source, Bundled) for source in self.sources)

    @property
    def source(self) -> str | None:
        """The hub repository to download it from, if there is one."""
        return next((hub.repo for hub in self._hubs()), None)

    @property
    def origin(self) -> str:
        """Its source: ``local``, ``bundled``, ``not here`` or the hub repository."""
        if isinstance(self.sources[0], Folder):
            return "local"
        return self.source or ("bundled" if self.bundled else "not here")

    @property
    def download_bytes(self) -> int:
        """Size of that download; 0 if there is none."""
        return next((hub.download_bytes for hub in self._hubs()), 0)

    @property
    def bytes(self) -> int:
        """Expected bytes in memory, in float32 unless ``memory`` is known."""
        return self.memory or 4 * self.parameters

    def pick(self, settings: Settings) -> Source:
        """Return the source to use now: the first that is here, else the last."""
        return next((one for one in self.sources if one.is_here(settings)), self.sources[-1])

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return its folder, downloaded or converted first if necessary.

        Raises:
            ModelUnavailable: They are missing, or cannot be downloaded or converted.
        """
        try:
            return self.pick(settings).fetch(settings, report)
        except ModelUnavailable as error:
            raise ModelUnavailable(f"{self.title} {error}") from error

    def is_here(self, settings: Settings) -> bool:
        """Whether it can be loaded without a download."""
        return self.pick(settings).is_here(settings)

    def _hubs(self) -> Iterator[Hub]:
        return (source for source in self.sources if isinstance(source, Hub))
