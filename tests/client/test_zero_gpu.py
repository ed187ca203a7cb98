"""The gallery on ZeroGPU: models are ready before the page, and only who needs the card pays."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from shared import zero_gpu
from shared.catalog import Catalog
from shared.errors import CacheFull
from shared.settings import Settings
from tests.conftest import run_app

STUBS = str(Path(__file__).parent.parent / "stubs")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the stand-in of ``spaces`` writes down each use of the card."""
    log = tmp_path_factory.mktemp("spaces") / "uses.txt"
    log.touch()
    return log


@pytest.fixture(scope="module")
def client(log: Path) -> Iterator[Client]:
    """The real app with ZeroGPU switched on; without a GPU, ``cuda`` is the CPU here."""
    environment = {"SPACES_ZERO_GPU": "true", "PYTHONPATH": STUBS, "STUB_SPACES_LOG": str(log)}
    with run_app(log.with_name("app.txt"), **environment) as url:
        client = Client(url, verbose=False)
        yield client
        client.close()


def seconds_asked_for(log: Path) -> list[int]:
    return [int(line) for line in log.read_text().split()]


def test_models_worth_a_card_are_kept_from_the_start(client: Client) -> None:
    snapshot = client.predict(api_name="/cache_snapshot")
    assert {model["key"]: model["pinned"] for model in snapshot["models"]} == {
        "image/critters": True
    }
    assert snapshot["loads"] == 1


def test_the_card_is_asked_for_as_long_as_the_request_needs(client: Client, log: Path) -> None:
    before = len(seconds_asked_for(log))
    for steps in (2, 12):
        client.predict("a blue critter", num_inference_steps=steps, api_name="/generate_image")
    short, long = seconds_asked_for(log)[before:]
    assert 0 < short < long <= 60


@pytest.mark.parametrize(
    ("endpoint", "request_"),
    [
        ("/generate_text", {"max_new_tokens": 2}),
        ("/generate_music", {"duration": 5}),
        ("/sample_latent", {}),
    ],
)
def test_models_on_the_cpu_cost_no_quota(
    client: Client, log: Path, endpoint: str, request_: dict[str, Any]
) -> None:
    before = log.read_text()
    client.predict(**request_, api_name=endpoint)
    assert log.read_text() == before


def test_a_wrong_request_costs_no_quota(client: Client, log: Path) -> None:
    before = log.read_text()
    with pytest.raises(AppError, match="num inference steps must be at most"):
        client.predict(num_inference_steps=900, api_name="/generate_image")
    assert log.read_text() == before


@pytest.fixture
def active(monkeypatch: pytest.MonkeyPatch, log: Path) -> Iterator[ModuleType]:
    """The module as it is on ZeroGPU."""
    with monkeypatch.context() as patch:
        patch.setenv("SPACES_ZERO_GPU", "true")
        patch.setenv("STUB_SPACES_LOG", str(log))
        patch.syspath_prepend(STUBS)
        patch.delitem(sys.modules, "spaces", raising=False)
        yield importlib.reload(zero_gpu)
        sys.modules.pop("spaces", None)
    importlib.reload(zero_gpu)


def test_an_error_comes_back_from_the_card_with_its_message(active: ModuleType) -> None:
    settings = active.adapt(Settings())

    @active.on_gpu(Catalog(settings), lambda request: 1)
    def stream(keys: Sequence[str], request: Any) -> Iterator[str]:
        yield "a step"
        raise CacheFull("Try again in a minute.")

    steps = stream(("image/critters",), None)
    assert next(steps) == "a step"
    with pytest.raises(CacheFull, match="in a minute"):
        next(steps)


def test_closing_ends_the_work_on_the_card(active: ModuleType) -> None:
    settings = active.adapt(Settings())
    ended: list[str] = []

    @active.on_gpu(Catalog(settings), lambda request: 1)
    def stream(keys: Sequence[str], request: Any) -> Iterator[int]:
        try:
            yield from range(100)
        finally:
            ended.extend(keys)

    steps = stream(("image/critters",), None)
    next(steps)
    steps.close()
    assert ended == ["image/critters"]


def test_the_operator_chooses_what_goes_to_the_card(active: ModuleType) -> None:
    chosen = active.adapt(Settings(preload=("text/smollm2-135m", "text/storyteller")))
    catalog = Catalog(chosen)
    on_card = [spec.key for spec in catalog if active.runs_on_gpu(catalog, spec.key)]
    assert on_card == ["text/smollm2-135m"], "one that is too small to gain stays on the CPU"


def test_elsewhere_nothing_is_lent() -> None:
    settings = zero_gpu.adapt(Settings())
    assert settings == Settings()

    def stream(keys: Sequence[str], request: Any) -> Iterator[int]:
        yield 1

    assert zero_gpu.on_gpu(Catalog(settings), lambda request: 1)(stream) is stream
