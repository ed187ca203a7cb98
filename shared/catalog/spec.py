"""What the gallery knows about a model: where it comes from, how it is loaded, its defaults."""

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
VISITOR_PREFIX = "guest-"  # of the names of visitors' own models


def is_visitor_model(key: str) -> bool:
    """Whether ``key`` is that of a visitor's own model: whoever knows it can use the model."""
    return f"/{VISITOR_PREFIX}" in key


def public_key(key: str) -> str:
    """Return ``key`` as others may read it: all visitors' models of a room have the same."""
    return f"{key.split('/')[0]}/trained-by-a-visitor" if is_visitor_model(key) else key


@dataclass(frozen=True)
class Placement:
    """Where and how precisely a model is loaded.

    Attributes:
        device: Of its weights.
        dtype: Of its weights.
        offload: A graphics card too small for all of it: a pipeline that lies in host memory can
            send its parts there one after the other, as each is needed.
    """

    device: torch.device
    dtype: torch.dtype
    offload: torch.device | None = None


@dataclass(frozen=True)
class ModelSpec:
    """One model of the catalogue.

    Attributes:
        key: ``task/name``; the name that endpoints and the cache use.
        title: What the page shows.
        licence: Licence of the weights.
        parameters: Number of weights; 0 if unknown.
        summary: One sentence: what it is and what it was trained on.
        load: Turns a checkpoint folder into a model.
        sources: Where the folder comes from: the first that is here, else the last.
        defaults: Values that suit this model better than the room's own.
        sizes: Sides in pixels that an image model draws well, besides its own.
        gpu: Whether it gains from a graphics card; if not it always runs on the CPU.
        is_batched: Whether one step writes a token for the texts of several visitors at once.
        memory: Bytes in memory, where they do not follow from ``parameters``.
        dtype: Of its weights, where it is not for the device to choose.
        engine: The same model for an engine that only writes, but faster; it is listed nowhere.
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
        """The key as others may read it, in files and figures."""
        return public_key(self.key)

    @property
    def bundled(self) -> bool:
        """Whether it comes with the repository."""
        return any(isinstance(source, Bundled) for source in self.sources)

    @property
    def source(self) -> str | None:
        """The hub repository that it can be downloaded from, if there is one."""
        return next((hub.repo for hub in self._hubs()), None)

    @property
    def origin(self) -> str:
        """Where it comes from, in a word: local, bundled, or the hub repository."""
        if isinstance(self.sources[0], Folder):
            return "local"
        return self.source or ("bundled" if self.bundled else "not here")

    @property
    def download_bytes(self) -> int:
        """Size of that download; 0 if there is none."""
        return next((hub.download_bytes for hub in self._hubs()), 0)

    @property
    def bytes(self) -> int:
        """Expected size in memory, as float32 where nothing else is known."""
        return self.memory or 4 * self.parameters

    def pick(self, settings: Settings) -> Source:
        """Return the source that is used now: the first that is here, else the last."""
        return next((one for one in self.sources if one.is_here(settings)), self.sources[-1])

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Bring its files to this disk and return their folder.

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
