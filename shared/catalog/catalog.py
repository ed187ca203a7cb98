"""Finds models by key: the gallery's, the operator's and visitors' own."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from shared.catalog.entries import SPECS
from shared.catalog.local_models import describe_folder, fit_gguf
from shared.catalog.spec import ModelSpec, Task
from shared.devices import pick_device
from shared.errors import GalleryError, ModelUnavailable, UnknownModel
from shared.loader import HOST
from shared.settings import Settings
from shared.sources import Folder


class Catalog:
    """The models of this process. Engines and visitors' models are found by key but not listed.

    Attributes:
        settings: Settings of the process, which has one catalogue.
    """

    def __init__(self, settings: Settings, specs: Iterable[ModelSpec] = SPECS) -> None:
        """Make a catalogue of ``specs`` and the operator's folders.

        Raises:
            GalleryError: A folder of ``settings.local_models`` has no room or cannot be read.
        """
        self.settings = settings
        self._visitor_models: dict[str, ModelSpec] = {}
        self._specs = {spec.key: spec for spec in specs}
        for key, path in settings.local_models:
            try:
                Folder(path).fetch(settings, lambda *_: None)
            except ModelUnavailable as error:
                raise GalleryError(f"GALLERY_LOCAL_MODELS: {key} {error}") from error
            known = self._specs.get(key) or describe_folder(key, path)
            self._specs[key] = dataclasses.replace(
                known, sources=(Folder(path), *known.sources), engine=None, **fit_gguf(path)
            )
        engines = (spec.engine for spec in self._specs.values())
        self._engines = {engine.key: engine for engine in engines if engine}

    def __iter__(self) -> Iterator[ModelSpec]:
        return iter(self._specs.values())

    def get(self, key: str, task: Task | None = None) -> ModelSpec:
        """Return the entry of ``key``, which must belong to ``task`` if that is given.

        Raises:
            UnknownModel: There is none; the message lists the models.
        """
        unlisted = self._visitor_models.get(key) or self._engines.get(key)
        if unlisted and task in (None, unlisted.task):
            return unlisted
        choice = {spec.key: spec for spec in (self.for_task(task) if task else self)}
        if key not in choice:
            model = f"{task} model" if task else "model"
            raise UnknownModel(
                f"There is no {model} {str(key)[:60]!r}. There are: {', '.join(choice)}."
            )
        return choice[key]

    def for_task(self, task: Task) -> list[ModelSpec]:
        """Return the models of one room, bundled ones first."""
        return [spec for spec in self if spec.task == task]

    def engine_key(self, key: str) -> str:
        """Return the key that runs this model fastest here: ``key`` or that of its engine."""
        from shared.llamacpp import is_available

        engine = self.get(key).engine
        if not engine or not engine.is_here(self.settings) or not is_available():
            return key
        # On a GPU the model itself is fast.
        return key if self.devices(key)[0].startswith("cuda") else engine.key

    def devices(self, key: str) -> Sequence[str]:
        """Return where ``key`` may run, best first. With CUDA: all GPUs, then the CPU."""
        import torch

        if not self.get(key).gpu:
            return (HOST,)
        device = pick_device(self.settings.device)
        if device.type != "cuda":
            return (str(device),)
        cards = range(max(1, torch.cuda.device_count()))
        return [*(f"cuda:{index}" for index in cards), HOST]

    def download_bytes(self, key: str) -> int:
        """Return the size of the download that ``key`` needs now; 0 if it is here."""
        spec = self.get(key)
        return 0 if spec.is_here(self.settings) else spec.download_bytes

    def add_visitor_model(self, spec: ModelSpec) -> None:
        """Let ``get`` find ``spec`` by its key. It is not listed."""
        self._visitor_models[spec.key] = spec

    def remove_visitor_model(self, key: str) -> None:
        """Remove a model that was added with ``add_visitor_model``."""
        self._visitor_models.pop(key, None)
