"""Settings, read once from the environment. Each is described in the README."""

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
    """Read ``room/name=folder;room/name=folder``; every folder must be there."""
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
        """Let ``Settings()`` hold the defaults: only ``from_environment`` reads variables."""
        return (init_settings,)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Settings:
        """Read ``GALLERY_*`` variables; what is not set, or empty, keeps its default.

        Raises:
            GalleryError: A variable holds something else than it should.
        """
        source = EnvSettingsSource(cls)
        source.env_vars = {
            variable.lower(): text.strip()
            for variable, text in environment.items()
            if variable.isupper() and text.strip()  # compose files pass empty ones
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
    """Say in plain words which variable is wrong and what was expected."""
    name = error["loc"][0]
    if error["type"] == "value_error":  # from a validator above, in plain words already
        reason = str(error["ctx"]["error"])
    else:
        expected = Settings.model_fields[name].description
        reason = f"expected {expected}, not {str(error['input'])!r}"
    return f"{_PREFIX}{name.upper()}: {reason}"
