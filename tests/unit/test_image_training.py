"""Training image/critters for a visitor: the plan, the story, and the model that one may keep."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from demos.image.run import BUNDLED
from demos.image.training import KIND, SCRIPT, begin_story, name_model, plan
from shared.catalog import Catalog, GalleryLoader
from shared.errors import GalleryError, InvalidRequest, UnknownModel
from shared.live.process import Report, follow_training
from shared.live.story import (
    Story,
    TrainingRequest,
    read_bundled_minutes,
    read_example,
    record_example,
)
from shared.model_cache import ModelCache
from shared.recipes import make_recipe
from shared.settings import ROOT, Settings
from shared.visitor_models import VisitorModels

SETTINGS = Settings(device="cpu")
PATIENCE = 120.0  # seconds; the machine may be busy
PNG = bytes.fromhex(  # one pixel
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8ffff"
    "3f0005fe02fe0def46b80000000049454e44ae426082"
)


@pytest.fixture
def catalog() -> Catalog:
    return Catalog(SETTINGS)


@pytest.fixture
def cache(catalog: Catalog) -> Iterator[ModelCache]:
    cache = ModelCache(10**9, GalleryLoader(catalog))
    yield cache
    cache.close()


@pytest.fixture
def models(cache: ModelCache, catalog: Catalog) -> Iterator[VisitorModels]:
    models = VisitorModels(cache, catalog)
    yield models
    models.close()


def train(models: VisitorModels, pipeline: Any) -> None:
    """Leave a model on the shelf, as a training does."""
    pipeline.save_pretrained(models.fresh)


def test_the_plan_names_every_option_of_the_script() -> None:
    words = plan(TrainingRequest.parse(minutes=5, seed=3), SETTINGS)
    options = dict(pairwise(words))
    assert options["--minutes"] == "5"
    assert options["--seed"] == "3"
    assert options["--samples-every"] == "20"
    assert Path(options["--autoencoder"]).name == "image-critters"
    command = [sys.executable, "-m", f"training.{SCRIPT}", "--help"]
    known = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(word in known for word in words if word.startswith("--"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"minutes": 0}, "minutes must be at least 1"),
        ({"minutes": 21}, "minutes must be at most 20"),
        ({"minutes": math.nan}, "minutes must"),
        ({"seed": 2**31}, "seed must be at most"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        TrainingRequest.parse(**values)


def reports() -> Iterator[Report]:
    yield Report("data", {"done": 100, "total": 100, "count": 2000}, None)
    yield Report("reference", {"scores": {"following": 90.0}}, PNG)
    yield Report("sample", {"step": 0, "minutes": 0.0, "losses": {}}, PNG)
    yield Report("score", {"minutes": 0.0, "scores": {"following": 9.5}}, None)
    yield Report("loss", {"step": 30, "minutes": 0.2, "losses": {"reading": 1.5}}, None)
    yield Report("sample", {"step": 900, "minutes": 4.9, "losses": {"velocity": 0.1}}, PNG)
    yield Report("score", {"minutes": 4.9, "scores": {"following": 41.4}}, None)


def test_the_story_tells_of_reading_drawing_and_the_score() -> None:
    story = Story(KIND, TrainingRequest.parse(minutes=5, seed=1), bundled_minutes=150)
    told = list(reports())
    for report in told[:5]:
        story.add(report)
    assert story.progress(1) == "Training · 0:13 · 4:47 left · learning to read first"
    assert len(story.frames) == 1
    for report in told[5:]:
        story.add(report)
    assert "read" not in story.progress(1)
    error, wishes = story.curves()
    assert list(error.points) == [(4.9, 0.1)]
    assert list(wishes.points) == [(0.0, 9.5), (4.9, 41.4)]
    assert wishes.reference == 90.0
    assert "41.4 %" in story.ending()
    assert "after 150 minutes, reaches <b>90 %" in story.ending()
    assert name_model(story) == "Yours, 5 minutes"


@pytest.mark.parametrize(
    ("minutes", "title"),
    [(0.2, "Yours, 0:12"), (1.0, "Yours, 1 minute"), (20, "Yours, 20 minutes")],
)
def test_a_model_is_named_by_its_time(minutes: float, title: str) -> None:
    story = Story(KIND, TrainingRequest.parse(seed=1), minutes=minutes)
    assert name_model(story) == title


def test_the_time_of_the_bundled_model_is_that_of_all_stages(tmp_path: Path) -> None:
    assert read_bundled_minutes(tmp_path) is None
    record = tmp_path / "training.json"
    record.write_text(json.dumps({"minutes": {"autoencoder": 20.5, "denoiser": 100}}))
    assert read_bundled_minutes(tmp_path) == 120.5
    record.write_text("[]")
    assert read_bundled_minutes(tmp_path) is None
    assert begin_story(TrainingRequest.parse(seed=1), SETTINGS).bundled_minutes


def test_an_example_is_recorded_and_the_page_does_without_one(tmp_path: Path) -> None:
    path = tmp_path / "example.json"
    assert read_example(path) == {}
    story = Story(KIND, TrainingRequest.parse(minutes=5, seed=1))
    record_example(path, story, reports())
    example = read_example(path)
    assert len(example["film"]["frames"]) == 2
    assert example["film"]["frames"][0]["source"].startswith("data:image/webp;base64,")
    assert "Wishes that came true" in example["curves"]
    assert example["caption"].startswith("A finished example.")


@pytest.mark.timeout(300)  # a real training
def test_a_training_leaves_its_model_where_it_is_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    kept = tmp_path / "kept"
    options = plan(TrainingRequest.parse(minutes=1, seed=0), SETTINGS)
    options[options.index("--width") + 1] = "32"
    options[options.index("--samples-every") + 1] = "0.01"
    options += ["--count", "20", "--max-steps", "1"]
    heard = [report for report in follow_training(SCRIPT, options, keep=kept) if report]
    kinds = [report.kind for report in heard]
    assert list(dict.fromkeys(kinds)) == ["data", "reference", "sample", "score", "loss"]
    assert all(report.picture for report in heard if report.kind == "sample")
    assert (kept / "model_index.json").is_file()
    assert [*tmp_path.iterdir()] == [kept]  # and nothing else stays


def test_half_a_model_is_not_kept(tmp_path: Path) -> None:
    from shared.live.process import _rescued

    models, kept = tmp_path / "live" / "models", tmp_path / "kept"
    (tmp_path / "live" / "unfinished").mkdir(parents=True)
    with _rescued(models, kept):
        pass
    assert not kept.exists()
    for name in ("9", "10"):
        (models / name).mkdir(parents=True)
        (models / name / "name").write_text(name)
    with pytest.raises(KeyError), _rescued(models, kept):  # however the training ends
        raise KeyError
    assert (kept / "name").read_text() == "10"
    with _rescued(models, tmp_path / "gone" / "kept"):  # the visitor has left meanwhile
        pass
    assert (models / "9").is_dir()


def test_a_kept_model_is_used_like_any_other_and_listed_nowhere(
    models: VisitorModels, cache: ModelCache, catalog: Catalog, tiny_pipeline: Any
) -> None:
    train(models, tiny_pipeline)
    spec = models.keep(catalog.get(BUNDLED), "Yours, 5 minutes")
    assert catalog.get(spec.key, "image") == spec
    assert spec.key.startswith("image/guest-")
    assert len(spec.key) >= len("image/guest-") + 16
    assert spec not in [*catalog, *catalog.for_task("image")]
    with pytest.raises(UnknownModel) as unknown:
        catalog.get("image/guest-0")
    assert spec.key not in str(unknown.value)
    with pytest.raises(UnknownModel):
        catalog.get(spec.key, "text")
    assert make_recipe(spec, TrainingRequest.parse(seed=1), SETTINGS)["revision"] == "trained here"
    with cache.lease(spec.key, "the image room") as pipeline:
        assert type(pipeline) is type(tiny_pipeline)
    models.discard()
    assert spec.key not in [model["key"] for model in cache.snapshot()["models"]]
    with pytest.raises(UnknownModel):
        catalog.get(spec.key)
    models.discard()  # nothing happens


def test_a_second_model_takes_the_place_of_the_first(
    models: VisitorModels, catalog: Catalog, tiny_pipeline: Any
) -> None:
    like = catalog.get(BUNDLED)
    with pytest.raises(GalleryError, match="Train one first"):
        models.keep(like, "Yours")
    train(models, tiny_pipeline)
    first = models.keep(like, "Yours")
    with pytest.raises(GalleryError, match="Train one first"):
        models.keep(like, "Yours")
    assert catalog.get(first.key)  # what was kept before stays then
    train(models, tiny_pipeline)
    second = models.keep(like, "Yours")
    assert second.key != first.key
    with pytest.raises(UnknownModel):
        catalog.get(first.key)
    train(models, tiny_pipeline)
    models.clear_fresh()
    assert not models.fresh.exists()
    assert catalog.get(second.key)


def test_who_leaves_takes_the_files_along(
    cache: ModelCache, catalog: Catalog, tiny_pipeline: Any
) -> None:
    models = VisitorModels(cache, catalog)
    train(models, tiny_pipeline)
    spec = models.keep(catalog.get(BUNDLED), "Yours")
    train(models, tiny_pipeline)
    models.close()
    assert not models.fresh.parent.exists()
    with pytest.raises(UnknownModel):
        catalog.get(spec.key)


HOST = """
import tempfile, sys
tempfile.tempdir = sys.argv[1]
from shared.catalog import Catalog, GalleryLoader
from shared.visitor_models import VisitorModels
from shared.model_cache import ModelCache
from shared.settings import Settings
catalog = Catalog(Settings())
models = VisitorModels(ModelCache(10**6, GalleryLoader(catalog)), catalog)
models.fresh.mkdir()
print("ready", flush=True)
sys.stdin.read()
"""


def test_the_files_go_with_the_server_however_it_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as host:
        assert host.stdout
        assert host.stdout.readline()
        assert list(tmp_path.rglob("fresh"))
        family = psutil.Process(host.pid).children()
        host.kill()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert not alive
    assert not list(tmp_path.iterdir())


def test_without_a_temporary_folder_the_message_says_so(
    cache: ModelCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.visitor_models._home", None)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(GalleryError, match="no temporary folder"):
        VisitorModels(cache, Catalog(SETTINGS))
