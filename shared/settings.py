"""Settings, read once from the environment. Each is described in the README."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from shared.errors import GalleryError

ROOT = Path(__file__).resolve().parent.parent
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Settings:
    """How this process runs.

    Attributes:
        models_dir: Folder with the bundled models.
        cache_bytes: Memory that loaded models may take together.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: Never try to reach the model hub.
        max_queue: Visitors who may wait in line at once.
    """

    models_dir: Path = ROOT / "models"
    cache_bytes: int = psutil.virtual_memory().total // 2
    device: str = "auto"
    offline: bool = False
    max_queue: int = 64

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``GALLERY_*`` variables; what is not set keeps its default.

        Raises:
            GalleryError: A variable holds something else than it should.
        """
        given: dict[str, Any] = {}
        for name, parse in _PARSERS.items():
            variable = f"GALLERY_{name.upper()}"
            if variable in environment:
                try:
                    given[name] = parse(environment[variable])
                except ValueError as error:
                    raise GalleryError(f"{variable}: {error}") from None
        return cls(**given)


def _parse_bytes(text: str) -> int:
    """Read ``800MB`` or ``4GB`` (powers of 1000) or a plain number of bytes."""
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9}
    number, unit = (text[:-2], units.get(text[-2:].upper())) if text[-2:].isalpha() else (text, 1)
    if unit is None or not number.strip().replace(".", "", 1).isdigit():
        raise ValueError(f"expected a size such as 800MB or 4GB, not {text!r}")
    return int(float(number) * unit)


def _parse_bool(text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"expected 1 or 0, not {text!r}")
    return text.lower() in _TRUE


def _parse_device(text: str) -> str:
    if text not in {"auto", "cpu", "cuda", "mps"}:
        raise ValueError(f"expected auto, cpu, cuda or mps, not {text!r}")
    return text


_PARSERS: dict[str, Callable[[str], Any]] = {
    "models_dir": Path,
    "cache_bytes": _parse_bytes,
    "device": _parse_device,
    "offline": _parse_bool,
    "max_queue": int,
}
