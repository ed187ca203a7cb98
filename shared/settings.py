"""Settings from environment variables, read once. The README describes each."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ByteSize,
    DirectoryPath,
    Field,
    FilePath,
    ValidationError,
)
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from shared.devices import host_memory_bytes
from shared.errors import GalleryError

ROOT = Path(__file__).resolve().parent.parent
_PREFIX = "GALLERY_"


def _expand(path: str | Path) -> Path:
    return Path(path).expanduser()


def _check_soundfont(file: Path) -> Path:
    with file.open("rb") as opened:
        head = opened.read(12)
    if head[:4] != b"RIFF" or head[8:] != b"sfbk":
        raise ValueError(f"{str(file)!r} is no SoundFont: name a .sf2 or .sf3 file")
    return file


def _split_keys(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return tuple(key.strip() for key in value.split(",") if key.strip())


def _split_folders(value: Any) -> Any:
    """Parse ``room/name=folder;room/name=folder``; every folder must exist."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(";") if pair.strip()]
    for key, _, folder in pairs:
        if not (key.count("/") == 1 and all(key.strip().split("/")) and folder.strip()):
            raise ValueError(f"expected room/name=folder pairs with ; between, not {value!r}")
        if not _expand(folder.strip()).is_dir():
            raise ValueError(f"there is no folder {folder.strip()!r} for {key.strip()}")
    return tuple((key.strip(), _expand(folder.strip())) for key, _, folder in pairs)


# The descriptions complete "expected ..., not 'lots'".
_Bytes = Annotated[ByteSize, Field(description="a size such as 800MB or 4GB")]
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, description="a number of seconds")]
_Switch = Annotated[bool, Field(description="1 or 0")]


class Settings(BaseSettings):
    """How this process runs.

    Attributes:
        models_dir: Folder of the bundled models.
        cache_dir: Folder for converted models; downloads are in the Hugging Face cache.
        local_models: Catalogue keys and checkpoint folders of the operator.
        cache_bytes: Host memory that all loaded models may use.
        device_bytes: Memory that they may use on each GPU; None for most of it.
        idle_seconds: Drop models after this idle time; None for never.
        patience_seconds: How long a request waits for memory.
        preload: Keys of models that are loaded at start and never dropped.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        offline: Never connect to the Hugging Face hub.
        max_queue: Requests that may wait in Gradio's queue.
        metrics: Publish the metrics of the cache at ``/metrics``.
        soundfont: A .sf2 or .sf3 file to play notes with; None for the installed one.
    """

    model_config = SettingsConfigDict(env_prefix=_PREFIX, enable_decoding=False, frozen=True)

    models_dir: Annotated[
        DirectoryPath, BeforeValidator(_expand), Field(description="a folder that is there")
    ] = ROOT / "models"
    cache_dir: Annotated[Path, BeforeValidator(_expand)] = ROOT / ".cache" / "models"
    local_models: Annotated[tuple[tuple[str, Path], ...], BeforeValidator(_split_folders)] = ()
    cache_bytes: _Bytes = ByteSize(host_memory_bytes() // 2)
    device_bytes: _Bytes | None = None
    idle_seconds: _Seconds | None = None
    patience_seconds: _Seconds = 60.0
    preload: Annotated[tuple[str, ...], BeforeValidator(_split_keys)] = ()
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], Field(description="auto, cpu, cuda or mps")
    ] = "auto"
    offline: _Switch = False
    max_queue: Annotated[int, Field(ge=1, description="a whole number from 1 on")] = 64
    metrics: _Switch = False
    soundfont: Annotated[
        Annotated[FilePath, BeforeValidator(_expand), AfterValidator(_check_soundfont)] | None,
        Field(description="a file that is there"),
    ] = None

    @classmethod
    def settings_customise_sources(  # type: ignore[override]
        cls, *_: Any, init_settings: Any, **__: Any
    ) -> tuple[Any, ...]:
        """Make ``Settings()`` the defaults: only ``from_environment`` reads variables."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``GALLERY_*`` variables; unset and empty ones keep their default.

        Raises:
            GalleryError: A variable has an invalid value.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = {
            variable.lower(): text.strip()
            for variable, text in environment.items()
            if variable.isupper() and text.strip()  # compose files set empty ones
        }
        variables = [f"{_PREFIX}{name.upper()}" for name in cls.model_fields]
        for variable in environment:
            if variable.startswith(_PREFIX) and variable not in variables:
                near = get_close_matches(variable, variables)
                hint = f" Is {near[0]} meant?" if near else ""
                print(f"{variable} is no setting of the gallery.{hint}", file=sys.stderr)
        try:
            return cls(**source())
        except ValidationError as error:
            raise GalleryError("\n".join(map(_explain, error.errors()))) from None


def _explain(error: Any) -> str:
    """Say which variable is invalid and what was expected."""
    name = error["loc"][0]
    if error["type"] == "value_error":  # from a validator above, with its own message
        reason = str(error["ctx"]["error"])
    else:
        expected = Settings.model_fields[name].description
        reason = f"expected {expected}, not {str(error['input'])!r}"
    return f"{_PREFIX}{name.upper()}: {reason}"
