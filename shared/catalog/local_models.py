"""Entries for the folders that the operator adds with GALLERY_LOCAL_MODELS."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

from shared.catalog.loaders import (
    load_gan,
    load_image_pipeline,
    load_language_model,
    load_musicgen,
    load_tune_model,
    load_vae,
)
from shared.catalog.spec import Load, ModelSpec, Task
from shared.errors import GalleryError
from shared.musicgen import with_audiocraft


def describe_folder(key: str, path: Path) -> ModelSpec:
    """Make the entry of a folder that the operator added to a room."""
    from huggingface_hub import parse_local_safetensors_file_metadata

    loaders: dict[str, Load] = {
        "text": load_language_model,
        "image": load_image_pipeline,
        "music": load_tune_model,
        "latent": load_gan if key.endswith("-gan") else load_vae,
    }
    if _is_musicgen_folder(path):
        loaders["music"] = load_musicgen
    room = key.split("/")[0]
    if room not in loaders:
        raise GalleryError(
            f"GALLERY_LOCAL_MODELS: there is no room {room!r} for {key}. "
            f"There are: {', '.join(get_args(Task))}."
        )
    weights = list(path.rglob("*.safetensors"))
    files = [file for file in weights if ".fp16" not in file.name] or weights  # count each once
    try:
        counts = [parse_local_safetensors_file_metadata(file).parameter_count for file in files]
    except Exception as error:
        raise GalleryError(f"GALLERY_LOCAL_MODELS: {path} has a damaged file: {error}") from error
    return ModelSpec(
        key=key,
        title=key.split("/")[1],
        licence="see its folder",
        parameters=sum(sum(count.values()) for count in counts),
        summary="A model of this gallery's operator.",
        load=loaders[room],
        sources=(),
    )


def _is_musicgen_folder(path: Path) -> bool:
    if with_audiocraft.suits(path):
        return True
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return str(config.get("model_type", "")).startswith("musicgen")


def fit_gguf(path: Path) -> dict[str, Any]:
    """Return the fields of an entry that are different for a folder with a GGUF file."""
    files = list(path.glob("*.gguf"))
    if not files or any(path.rglob("*.safetensors")):
        return {}
    return {"gpu": False, "is_batched": False, "memory": min(files).stat().st_size, "dtype": "gguf"}
