"""Loads, measures and moves the models of a catalogue, for the model cache."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import sys
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

from shared.catalog.catalog import Catalog
from shared.catalog.loaders import find_modules, move_modules
from shared.catalog.spec import ModelSpec, Placement
from shared.devices import pick_device, pick_dtype
from shared.errors import GalleryError, ModelUnavailable
from shared.loader import HOST, Loader, Report

# Messages of RuntimeErrors from the allocators of the CPU, MPS and the CUDA driver.
_OUT_OF_MEMORY = ("DefaultCPUAllocator", "MPS backend out of memory", "CUDA error: out of memory")


class GalleryLoader(Loader):
    """The loader of the gallery's cache.

    Attributes:
        catalog: The models that it loads.
    """

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog

    def name(self, key: str) -> str:
        """Return the title of ``key``."""
        return self.catalog.get(key).title

    def expected_bytes(self, key: str) -> int:
        """Return the bytes to reserve for ``key``."""
        spec = self.catalog.get(key)
        per_weight = self._choose_placement(self.devices(key)[0], spec).dtype.itemsize
        return spec.memory or spec.parameters * per_weight

    def devices(self, key: str) -> Sequence[str]:
        """Return where ``key`` may run, best first."""
        return self.catalog.devices(key)

    def fetch(self, key: str, report: Report) -> Path:
        """Return the folder of ``key``, downloaded or converted first if necessary.

        Raises:
            UnknownModel: There is no such key.
            ModelUnavailable: Its files are missing, or cannot be downloaded or converted.
        """
        return self.catalog.get(key).fetch(self.catalog.settings, report)

    def load(self, key: str, files: Path, device: str, report: Report) -> Any:
        """Build ``key`` from what ``fetch`` returned.

        Raises:
            ModelUnavailable: A file is damaged.
        """
        spec = self.catalog.get(key)
        report("Loading", 0, 0)
        try:
            return spec.load(files, self._choose_placement(device, spec))
        except Exception as error:  # the libraries raise dozens of types for a bad file
            if isinstance(error, ModelUnavailable):
                raise ModelUnavailable(f"{spec.title} {error}") from error
            if isinstance(error, GalleryError) or self.is_out_of_memory(error):
                raise
            remedy = spec.pick(self.catalog.settings).remedy
            raise ModelUnavailable(
                f"{spec.title} cannot be loaded: a file is damaged or missing, or of another kind "
                f"of model. {remedy}"
            ) from error

    def measure(self, model: Any) -> dict[Hashable, int]:
        """Return the bytes of each tensor storage, by device and address, and of the engine."""
        return getattr(getattr(model, "engine", None), "memory", {}) | {
            (str(tensor.device), tensor.untyped_storage().data_ptr()): (
                tensor.untyped_storage().nbytes()
            )
            for module in find_modules(model)
            for tensor in (*module.parameters(), *module.buffers())
        }

    def may_park(self, device: str) -> bool:
        """Whether ``device`` is a GPU: moving back to it is faster than loading again."""
        return device.startswith("cuda")

    def move(self, model: Any, device: str) -> None:
        """Move every module of ``model`` in place."""
        move_modules(model, device)

    def free(self) -> None:
        """Return memory that torch and the C library have freed but kept to the system."""
        if torch := sys.modules.get("torch"):
            if torch.cuda.is_available() and torch.cuda.is_initialized():
                torch.cuda.empty_cache()
            if torch.backends.mps.is_available():
                torch.mps.empty_cache()
        if sys.platform == "linux":
            with contextlib.suppress(OSError, AttributeError):  # not glibc
                ctypes.CDLL("libc.so.6").malloc_trim(0)

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error``, or an error that caused it, says that memory ran out."""
        torch = sys.modules.get("torch")
        types = (MemoryError, *([torch.OutOfMemoryError] if torch else []))
        while True:
            if isinstance(error, types) or getattr(error, "errno", None) == errno.ENOMEM:
                return True
            if isinstance(error, RuntimeError) and any(
                words in str(error) for words in _OUT_OF_MEMORY
            ):
                return True
            cause = error.__cause__ or error.__context__
            if cause is None:
                return False
            error = cause

    def _choose_placement(self, device: str, spec: ModelSpec) -> Placement:
        import torch

        chosen = pick_device(self.catalog.settings.device)
        if device == HOST and spec.task == "image" and spec.gpu and chosen.type == "cuda":
            # There is a GPU without room for the whole model: half precision, one part at a time.
            return Placement(torch.device(HOST), pick_dtype(chosen), offload=chosen)
        return Placement(torch.device(device), pick_dtype(torch.device(device)))
