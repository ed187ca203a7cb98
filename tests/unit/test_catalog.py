from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from shared.catalog import SPECS, Catalog
from shared.errors import ModelUnavailable, UnknownModel
from shared.settings import ROOT, Settings

CATALOG = Catalog(Settings(device="cpu", offline=True))
BUNDLED = [spec.key for spec in SPECS if spec.bundled]


def test_keys_are_unique_and_name_a_room() -> None:
    keys = [spec.key for spec in SPECS]
    assert len(set(keys)) == len(keys)
    assert {spec.task for spec in SPECS} == {"text", "image", "music", "latent"}


def test_an_unknown_model_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownModel, match=r"no model 'text/none'.*text/storyteller"):
        CATALOG.get("text/none")


def test_a_model_of_another_room_is_refused() -> None:
    with pytest.raises(UnknownModel, match="no text model 'image/critters'"):
        CATALOG.get("image/critters", "text")


@pytest.mark.parametrize("key", BUNDLED)
def test_bundled_models_load_as_float32_at_the_size_that_is_promised(key: str) -> None:
    model = CATALOG.load(key)
    measured = CATALOG.measure_bytes(model)
    assert measured == pytest.approx(CATALOG.expected_bytes(key), rel=0.1)


@pytest.mark.parametrize("key", BUNDLED)
def test_bundled_models_tell_their_story(key: str) -> None:
    folder = CATALOG.get(key).folder(ROOT / "models")
    record = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    wanted = {"command", "data", "seed", "steps", "minutes", "hardware", "metrics"}
    assert wanted <= set(record)
    assert (folder / "README.md").is_file()


@pytest.mark.parametrize("path", sorted((ROOT / "models").rglob("*")), ids=lambda path: path.name)
def test_weight_files_stay_below_ten_megabytes(path: Path) -> None:
    if not path.name.startswith("checkpoint.pt"):  # ignored by git
        assert path.stat().st_size < 10e6


def test_a_missing_folder_says_how_to_restore_it(tmp_path: Path) -> None:
    catalog = Catalog(Settings(models_dir=tmp_path))
    with pytest.raises(ModelUnavailable, match="git checkout -- models/text-storyteller"):
        catalog.load("text/storyteller")


def test_a_damaged_weight_file_says_how_to_restore_it(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "models" / "latent-critters-vae", tmp_path / "latent-critters-vae")
    weights = tmp_path / "latent-critters-vae" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelUnavailable, match="damaged or missing"):
        Catalog(Settings(models_dir=tmp_path)).load("latent/critters-vae")


def test_a_hub_model_that_cannot_be_reached_names_the_way_out() -> None:
    with pytest.raises(ModelUnavailable, match="Bundled models work without a network"):
        CATALOG.load("text/smollm2-135m")


def test_a_hub_that_does_not_answer_is_found_out_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.upper(), raising=False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://127.0.0.1:9")
    with pytest.raises(ModelUnavailable, match="Bundled models work without a network"):
        Catalog(Settings(device="cpu")).load("text/smollm2-135m")


def test_shared_tensors_are_counted_once() -> None:
    layer = torch.nn.Linear(10, 10, bias=False)
    assert CATALOG.measure_bytes(torch.nn.Sequential(layer, layer)) == 400
