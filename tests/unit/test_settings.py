from __future__ import annotations

import re
from pathlib import Path

import pytest

from shared.devices import host_memory_bytes
from shared.errors import GalleryError
from shared.settings import ROOT, Settings


def test_defaults_without_any_variable() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert settings.models_dir == ROOT / "models"


def test_variables_are_read(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "GALLERY_CACHE_BYTES": "1.5GB",
            "GALLERY_OFFLINE": "1",
            "GALLERY_MODELS_DIR": str(tmp_path),
            "GALLERY_CACHE_DIR": "",
        }
    )
    assert (settings.cache_bytes, settings.offline) == (1_500_000_000, True)
    assert settings.models_dir == tmp_path
    assert settings.cache_dir == Settings().cache_dir, "an empty variable is none"


def test_a_misspelt_variable_is_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    Settings.from_environment({"GALLERY_PRELAOD": "text/storyteller"})
    assert "GALLERY_PRELAOD is no setting" in (said := capsys.readouterr().err)
    assert "Is GALLERY_PRELOAD meant?" in said


def test_the_variables_of_the_cache_are_read(tmp_path: Path) -> None:
    settings = Settings.from_environment(
        {
            "GALLERY_DEVICE_BYTES": "6GB",
            "GALLERY_IDLE_SECONDS": "600",
            "GALLERY_PATIENCE_SECONDS": "0.5",
            "GALLERY_PRELOAD": "text/storyteller, music/tunes",
            "GALLERY_METRICS": "1",
            "GALLERY_LOCAL_MODELS": f"text/one={tmp_path}; text/two = {tmp_path}",
        }
    )
    assert (settings.device_bytes, settings.metrics) == (6_000_000_000, True)
    assert (settings.idle_seconds, settings.patience_seconds) == (600, 0.5)
    assert settings.preload == ("text/storyteller", "music/tunes")
    assert settings.local_models == (("text/one", tmp_path), ("text/two", tmp_path))


def test_models_may_take_half_of_what_this_process_may_use() -> None:
    assert Settings().cache_bytes == host_memory_bytes() // 2


def test_a_missing_folder_is_named_at_start(tmp_path: Path) -> None:
    with pytest.raises(GalleryError, match=r"GALLERY_LOCAL_MODELS: there is no folder .*gone"):
        Settings.from_environment({"GALLERY_LOCAL_MODELS": f"text/one={tmp_path}/gone"})


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("GALLERY_CACHE_BYTES", "lots"),
        ("GALLERY_CACHE_BYTES", "4XB"),
        ("GALLERY_DEVICE", "tpu"),
        ("GALLERY_OFFLINE", "perhaps"),
        ("GALLERY_MAX_QUEUE", "many"),
        ("GALLERY_MAX_QUEUE", "0"),
        ("GALLERY_MODELS_DIR", "no-such-folder"),
        ("GALLERY_DEVICE_BYTES", "all"),
        ("GALLERY_IDLE_SECONDS", "never"),
        ("GALLERY_PATIENCE_SECONDS", "-1"),
        ("GALLERY_PATIENCE_SECONDS", "inf"),
        ("GALLERY_METRICS", "please"),
        ("GALLERY_SOUNDFONT", "no-such-file.sf2"),
        ("GALLERY_SOUNDFONT", "README.md"),
        ("GALLERY_LOCAL_MODELS", "text/one"),
        ("GALLERY_LOCAL_MODELS", "one=."),
        ("GALLERY_LOCAL_MODELS", "text/=."),
    ],
)
def test_a_bad_variable_is_named(variable: str, value: str) -> None:
    with pytest.raises(GalleryError, match=rf"^{variable}: .*{re.escape(value)}") as raised:
        Settings.from_environment({variable: value})
    assert "\n" not in str(raised.value), "one line in plain words"
    assert not re.search(r"pydantic|validation|type=", str(raised.value))


def test_every_bad_variable_is_named_at_once() -> None:
    with pytest.raises(GalleryError) as raised:
        Settings.from_environment({"GALLERY_DEVICE": "tpu", "GALLERY_CACHE_BYTES": "lots"})
    assert str(raised.value).splitlines() == [
        "GALLERY_CACHE_BYTES: expected a size such as 800MB or 4GB, not 'lots'",
        "GALLERY_DEVICE: expected auto, cpu, cuda or mps, not 'tpu'",
    ]


def test_code_that_makes_its_own_settings_ignores_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GALLERY_DEVICE", "mps")
    monkeypatch.setenv("GALLERY_OFFLINE", "1")
    assert (Settings().device, Settings(device="cpu").offline) == ("auto", False)
    assert Settings.from_environment().device == "mps"


def test_every_setting_is_described_in_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in Settings.model_fields:
        assert f"`GALLERY_{name.upper()}`" in readme
