"""Settings, read once from the environment. Each is described in the README."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from shared.devices import host_memory_bytes
from shared.errors import GalleryError

ROOT = Path(__file__).resolve().parent.parent
_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True)
class Settings:
    """How this process runs.

    Attributes:
        models_dir: Folder with the bundled models.
        cache_dir: Folder for copies of models that were converted; downloads are kept in the
            Hugging Face cache.
        local_models: Catalogue keys and checkpoint folders of the operator.
        cache_bytes: Memory of the host that loaded models may take together.
        device_bytes: Memory that they may take on each graphics card; None for most of it.
        idle_seconds: Drop models that nobody used for so long; None for never.
        patience_seconds: How long a request waits for memory.
        preload: Keys of models that are loaded at start and kept.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: Never try to reach the model hub.
        max_queue: Visitors who may wait in line at once.
        metrics: Publish the cache's figures at ``/metrics``.
        soundfont: A .sf2 or .sf3 file to play notes with; None for the one that is installed.
    """

    models_dir: Path = ROOT / "models"
    cache_dir: Path = ROOT / ".cache" / "models"
    local_models: tuple[tuple[str, Path], ...] = ()
    cache_bytes: int = host_memory_bytes() // 2
    device_bytes: int | None = None
    idle_seconds: float | None = None
    patience_seconds: float = 60.0
    preload: tuple[str, ...] = ()
    device: str = "auto"
    offline: bool = False
    max_queue: int = 64
    metrics: bool = False
    soundfont: Path | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``GALLERY_*`` variables; what is not set keeps its default.

        Raises:
            GalleryError: A variable holds something else than it should.
        """
        given: dict[str, Any] = {}
        for name, parse in _PARSERS.items():
            variable = f"GALLERY_{name.upper()}"
            if environment.get(variable, "").strip():  # compose files pass empty ones
                try:
                    given[name] = parse(environment[variable])
                except ValueError as error:
                    raise GalleryError(f"{variable}: {error}") from None
        for variable in environment:
            kind, _, name = variable.partition("_")
            # GALLERY_REQUIRE_* speak to the tests.
            if kind == "GALLERY" and name.lower() not in _PARSERS and name[:8] != "REQUIRE_":
                near = get_close_matches(variable, [f"GALLERY_{name.upper()}" for name in _PARSERS])
                hint = f" Is {near[0]} meant?" if near else ""
                print(f"{variable} is no setting of the gallery.{hint}", file=sys.stderr)
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


def _parse_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ValueError(f"expected a number of seconds, not {text!r}")
    return seconds


def _parse_count(text: str) -> int:
    if not text.strip().isdigit() or int(text) < 1:
        raise ValueError(f"expected a whole number from 1 on, not {text!r}")
    return int(text)


def _parse_folder(text: str) -> Path:
    folder = Path(text.strip()).expanduser()
    if not folder.is_dir():
        raise ValueError(f"there is no folder {text!r}")
    return folder


def _parse_soundfont(text: str) -> Path:
    file = Path(text.strip()).expanduser()
    if not file.is_file():
        raise ValueError(f"there is no file {text.strip()!r}")
    with file.open("rb") as opened:
        head = opened.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise ValueError(f"{text.strip()!r} is no SoundFont: name a .sf2 or .sf3 file")
    return file


def _parse_keys(text: str) -> tuple[str, ...]:
    return tuple(key.strip() for key in text.split(",") if key.strip())


def _parse_folders(text: str) -> tuple[tuple[str, Path], ...]:
    """Read ``room/name=folder;room/name=folder``; every folder must be there."""
    pairs = [pair.partition("=") for pair in text.split(";") if pair.strip()]
    for key, _, folder in pairs:
        if not (key.count("/") == 1 and all(key.strip().split("/")) and folder.strip()):
            raise ValueError(f"expected room/name=folder pairs with ; between, not {text!r}")
        if not Path(folder.strip()).expanduser().is_dir():
            raise ValueError(f"there is no folder {folder.strip()!r} for {key.strip()}")
    return tuple((key.strip(), Path(folder.strip()).expanduser()) for key, _, folder in pairs)


_PARSERS: dict[str, Callable[[str], Any]] = {
    "models_dir": _parse_folder,
    "cache_dir": lambda text: Path(text.strip()).expanduser(),
    "local_models": _parse_folders,
    "cache_bytes": _parse_bytes,
    "device_bytes": _parse_bytes,
    "idle_seconds": _parse_seconds,
    "patience_seconds": _parse_seconds,
    "preload": _parse_keys,
    "device": _parse_device,
    "offline": _parse_bool,
    "max_queue": _parse_count,
    "metrics": _parse_bool,
    "soundfont": _parse_soundfont,
}
