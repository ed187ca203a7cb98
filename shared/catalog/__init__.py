"""The catalogue: every model the gallery offers, where it comes from and how it is loaded.

A model comes from ``models/``, the Hugging Face hub or an installed package, as its
``ModelSpec.sources`` say. Each is a checkpoint folder, and the same loaders load it.

    spec.py            the type of an entry
    entries.py         the entries
    local_models.py    entries for the operator's folders
    loaders.py         from a checkpoint folder to a model
    language_model.py  a loaded language model
    catalog.py         look-up by key
    loader.py          the loader that the model cache calls
"""

from shared.catalog.catalog import Catalog
from shared.catalog.entries import SPECS
from shared.catalog.language_model import LanguageModel
from shared.catalog.loader import GalleryLoader
from shared.catalog.loaders import (
    is_musicgen,
    load_gguf,
    load_image_pipeline,
    load_language_model,
    load_tune_model,
    move_modules,
)
from shared.catalog.spec import ModelSpec, Placement, Task, is_visitor_model, public_key

__all__ = [
    "SPECS",
    "Catalog",
    "GalleryLoader",
    "LanguageModel",
    "ModelSpec",
    "Placement",
    "Task",
    "is_musicgen",
    "is_visitor_model",
    "load_gguf",
    "load_image_pipeline",
    "load_language_model",
    "load_tune_model",
    "move_modules",
    "public_key",
]
