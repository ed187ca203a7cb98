from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from shared.errors import GalleryError
from shared.settings import ROOT, Settings


def test_defaults_without_any_variable() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.models_dir == ROOT / "models"


def test_variables_are_read() -> None:
    settings = Settings.from_environment(
        {"GALLERY_CACHE_BYTES": "1.5GB", "GALLERY_OFFLINE": "1", "GALLERY_MODELS_DIR": "x"}
    )
    assert (settings.cache_bytes, settings.offline) == (1_500_000_000, True)
    assert settings.models_dir == Path("x")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GALLERY_CACHE_BYTES", "lots"),
        ("GALLERY_CACHE_BYTES", "4XB"),
        ("GALLERY_DEVICE", "tpu"),
        ("GALLERY_OFFLINE", "perhaps"),
        ("GALLERY_MAX_QUEUE", "many"),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(GalleryError, match=variable):
        Settings.from_environment({variable: value})


def test_every_setting_is_described_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for setting in fields(Settings):
        assert f"`GALLERY_{setting.name.upper()}`" in readme
