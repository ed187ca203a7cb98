from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from shared.catalog.spec import VISITOR_PREFIX
from shared.loader import Loader
from shared.metrics import create_metrics_route
from shared.model_cache import ModelCache
from tests.conftest import run_app


class Boxes(Loader):
    """Models are lists of bytes; ``broken`` cannot be loaded."""

    def expected_bytes(self, key: str) -> int:
        return 40

    def load(self, key: str, *_: object) -> list[bytes]:
        if key == "text/broken":
            raise ValueError("broken")
        return [bytes(40)]

    def measure(self, model: list[bytes]) -> Mapping[Hashable, int]:
        return {id(part): len(part) for part in model}

    def move(self, model: list[bytes], device: str) -> None:
        raise AssertionError("there is one device")


@pytest.fixture
def cache() -> ModelCache:
    return ModelCache(100, Boxes(), memory=lambda: 12_345)


def read(cache: ModelCache) -> dict[tuple[str, ...], float]:
    """All samples by name and label values, as a collector would read them."""
    client = TestClient(Starlette(routes=[create_metrics_route(cache)]))
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_an_empty_cache_has_its_budget_and_counts_of_zero(cache: ModelCache) -> None:
    figures = read(cache)
    assert figures["gallery_cache_budget_bytes", "cpu"] == 100
    assert figures["gallery_cache_used_bytes", "cpu"] == 0
    assert figures["gallery_cache_process_resident_bytes",] == 12_345
    assert figures["gallery_cache_hits_total",] == 0
    assert not [key for key in figures if key[0].startswith("gallery_cache_model_")]


def test_counts_and_models_follow_what_happens(cache: ModelCache) -> None:
    for _ in range(3):
        with cache.lease("text/small"):
            pass
    with pytest.raises(ValueError, match="broken"), cache.lease("text/broken"):
        pass
    with cache.lease("text/small"):
        figures = read(cache)
    assert figures["gallery_cache_loads_total",] == 1
    assert figures["gallery_cache_hits_total",] == 3
    assert figures["gallery_cache_failures_total",] == 1
    assert figures["gallery_cache_used_bytes", "cpu"] == 40
    model = ("cpu", "text/small")
    assert figures["gallery_cache_model_bytes", *model] == 40
    assert figures["gallery_cache_model_leases", *model] == 1
    assert figures["gallery_cache_model_state", *model, "in use"] == 1
    assert figures["gallery_cache_model_state", *model, "ready"] == 0


def test_counters_never_fall_when_a_model_goes(cache: ModelCache) -> None:
    with cache.lease("text/small"):
        pass
    before = read(cache)
    assert cache.unload("text/small")
    after = read(cache)
    assert all(after[key] >= before[key] for key in before if key[0].endswith("_total"))
    assert ("gallery_cache_model_bytes", "cpu", "text/small") not in after


def test_visitors_own_models_share_one_label(cache: ModelCache) -> None:
    keys = [f"image/{VISITOR_PREFIX}{secret}" for secret in ("5ec2e7", "0ddba11")]
    with cache.lease(keys[0]), cache.lease(keys[1]):
        figures = read(cache)
    assert not [key for key in figures if "5ec2e7" in str(key) or "0ddba11" in str(key)]
    model = ("cpu", "image/trained-by-a-visitor")
    assert figures["gallery_cache_model_bytes", *model] == 80
    assert figures["gallery_cache_model_state", *model, "in use"] == 2


def test_the_answer_names_its_format(cache: ModelCache) -> None:
    client = TestClient(Starlette(routes=[create_metrics_route(cache)]))
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")
    wanted = {"accept": "application/openmetrics-text; version=1.0.0"}
    answer = client.get("/metrics", headers=wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")


@pytest.mark.parametrize("published", [True, False])
def test_the_gallery_publishes_them_only_when_asked(tmp_path: Path, published: bool) -> None:
    with run_app(tmp_path / "log", GALLERY_METRICS=str(int(published))) as url:
        answer, page = httpx.get(f"{url}/metrics"), httpx.get(url)
    assert answer.status_code == (200 if published else 404)
    assert ("gallery_cache_loads_total 0.0" in answer.text) == published
    assert "Generative Gallery" in page.text
