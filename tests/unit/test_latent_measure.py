"""Measuring on the spot, reading what was measured before, and how both are shown."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch

from demos.latent.bias import (
    MOST,
    SHOWN,
    STRENGTHS,
    draw_real_red,
    draw_red,
    move_towards_red,
)
from demos.latent.directions import Directions
from demos.latent.measure import FILE, JUDGE, MeasureRequest, measure, read_comparison
from demos.latent.models import list_datasets
from demos.latent.show_bias import explain, show_colors, show_judged_pictures, show_skew, wilson
from demos.latent.show_compare import ROWS, show_table
from shared.catalog import Catalog, GalleryLoader
from shared.critters.attributes import VALUES
from shared.errors import InvalidRequest, ModelUnavailable
from shared.model_cache import ModelCache
from shared.nets import VAE, Generator, Judge
from shared.settings import ROOT, Settings
from training.critter_classifier import load_judge

MODELS = ROOT / "models"


@pytest.fixture(scope="module")
def vae() -> VAE:
    return VAE.from_pretrained(MODELS / "latent-critters-vae", local_files_only=True)


@pytest.fixture(scope="module")
def gan() -> Generator:
    return Generator.from_pretrained(MODELS / "latent-critters-gan", local_files_only=True)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge()


def test_a_few_pictures_are_measured_in_steps(vae: VAE, gan: Generator, judge: Judge) -> None:
    request = MeasureRequest.parse(count=50, seed=5)
    steps = list(measure(vae, gan, judge, request, Event()))
    progress = [step.progress for step in steps]
    assert progress == sorted(progress)
    assert progress[-1] == 1
    assert not any(step.figures for step in steps[:-1])
    figures = steps[-1].figures
    assert figures["vae"]["frechet"] > 0
    assert figures["vae"]["psnr_db"] > 15
    assert figures["vae"]["parameters"] == figures["gan"]["parameters"]
    page = show_table(None, {"figures": figures, "plots": steps[-1].plots})
    assert page.count("<tr") >= len(ROWS) - 2
    assert page.count("<svg") >= len(ROWS) - 2


def test_a_stop_ends_it_at_once(vae: VAE, gan: Generator, judge: Judge) -> None:
    stop = Event()
    steps = measure(vae, gan, judge, MeasureRequest.parse(count=1000, seed=5), stop)
    next(steps)
    stop.set()
    assert list(steps) == []


@pytest.mark.parametrize("count", [0, 49, 1001, "many", 60.5])
def test_odd_counts_are_refused(count: Any) -> None:
    with pytest.raises(InvalidRequest, match="count must be"):
        MeasureRequest.parse(count=count)


def some_report() -> dict[str, Any]:
    row = {"frechet": 12.0, "precision": 0.9, "attributes": {"eyes": 0.75, "mouth": 1.0}}
    return {
        "count": 10,
        "date": "2026-01-01",
        "command": "python",
        "figures": {"real": row, "vae": {**row, "frechet": 99.0}, "gan": {**row, "frechet": 44.0}},
        "plots": {},
    }


def test_stored_figures_are_read_or_missing_or_damaged(tmp_path: Path) -> None:
    settings = Settings(models_dir=tmp_path)
    assert read_comparison(settings) is None
    for text in ("{", "[]", '{"figures": {}}', '{"figures": null}'):
        (tmp_path / FILE).write_text(text)
        with pytest.raises(ModelUnavailable, match=r"damaged.*evaluate_latent"):
            read_comparison(settings)
    (tmp_path / FILE).write_text(json.dumps(some_report()))
    assert read_comparison(settings) == some_report()


def test_the_better_of_the_two_is_marked_and_what_is_unknown_is_left_out() -> None:
    page = show_table(some_report())
    assert '<b title="The better of the two">44</b>' in page
    assert '<b title="The better of the two">99</b>' not in page
    assert "Recall" not in page
    assert "all but 3" in page  # of twelve kinds of eyes
    assert "now" not in page
    assert "<small>now 44</small>" in show_table(some_report(), some_report())
    assert "Nobody has measured" in show_table(None)


def test_the_judge_is_a_model_of_the_catalogue_and_no_dataset() -> None:
    settings = Settings(device="cpu")
    catalog = Catalog(settings)
    with ModelCache(10**9, GalleryLoader(catalog)).lease(JUDGE) as judge:
        assert judge.config.values == VALUES
    assert "critters-judge" not in list_datasets(catalog)


# Bias


def test_an_interval_holds_the_share_and_stays_within_0_and_1() -> None:
    assert wilson(50, 100) == pytest.approx((0.404, 0.596), abs=0.001)
    assert wilson(0, 10) == pytest.approx((0.0, 0.278), abs=0.001)
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)


def some_skew(vae: list[int], gan: list[int]) -> dict[str, Any]:
    fair = {"blue": [100, 9]}
    twin = {"red": [1000, 100], **fair}
    return {
        "cause": ["color", "red"],
        "effect": ["mouth", "smile"],
        "share": 0.9,
        "counts": {
            "data": {"red": [5000, 4500], **fair},
            "vae": {"red": vae, **fair},
            "gan": {"red": gan, **fair},
            "fair_vae": twin,
            "fair_gan": twin,
        },
    }


def test_the_words_follow_the_figures() -> None:
    said = explain(some_skew([1000, 990], [1000, 500]))
    assert "VAE exaggerates: 99%" in said
    assert "GAN passes on a part of it: 50% smile, against 10% of its twin" in said
    assert "spreads" not in said
    assert "as it was" in explain(some_skew([10, 9], [1000, 900]))
    leaky = some_skew([1000, 340], [1000, 900])
    leaky["counts"]["vae"]["blue"] = [1000, 190]
    assert "spreads the smile to the other colours: 19% smile, against 9%" in explain(leaky)
    assert "GAN learned hardly anything of it: 11%" in explain(some_skew([10, 9], [1000, 110]))
    assert "as it was" in explain(some_skew([0, 0], [1000, 900]))


def test_the_picture_of_the_skew_has_every_share() -> None:
    page = show_skew(some_skew([1000, 990], [1000, 500]))
    assert [share in page for share in ("90.0 %", "99.0 %", "50.0 %", "9.0 %")] == [True] * 4
    assert show_colors(some_skew([0, 0], [1, 1])).count("<tr>") == 3


def test_red_critters_are_drawn_until_there_are_enough(gan: Generator, judge: Judge) -> None:
    steps = list(draw_red(gan, judge, 3, Event(), count=5))
    assert [len(step) for step in steps] == sorted(len(step) for step in steps)
    assert len(steps[-1]) == 5
    assert {one.color for one in steps[-1]} == {"red"}
    assert show_judged_pictures({"GAN": steps[-1]}).count("<img") == 5
    stop = Event()
    stop.set()
    assert list(draw_red(gan, judge, 3, stop)) == []


def test_a_model_that_draws_no_red_ends_nevertheless(judge: Judge) -> None:
    class Blue(torch.nn.Module):
        config = Generator.from_pretrained(
            MODELS / "latent-critters-gan", local_files_only=True
        ).config

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(1))

        def forward(self, z: torch.Tensor) -> torch.Tensor:
            return torch.full((len(z), 3, 64, 64), -1.0)

    steps = list(draw_red(Blue(), judge, 0, Event()))  # type: ignore[arg-type]
    assert len(steps) * 40 == MOST
    assert steps[-1] == []


def test_real_red_critters_follow_the_skew() -> None:
    skewed, fair = draw_real_red(0, "smiling"), draw_real_red(0, None)
    assert len(skewed) == len(fair) == SHOWN
    assert {one.color for one in skewed} == {"red"}
    assert sum(one.smiles for one in skewed) > 6 > sum(one.smiles for one in fair)


def test_a_push_starts_at_another_colour_and_moves(gan: Generator, judge: Judge) -> None:
    far = 3 * torch.randn(64, generator=torch.Generator().manual_seed(0)).numpy()
    directions = Directions(torch.eye(64)[:8].numpy(), {"color": {"red": far}})
    steps = move_towards_red(gan, judge, directions, seed=1)
    assert len(steps) == len(STRENGTHS)
    assert steps[0].color != "red"
    assert steps[0].mouth in VALUES["mouth"]
    assert steps[0].picture != steps[-1].picture
    for nothing in (None, Directions(directions.principal, {"color": {}})):
        with pytest.raises(ModelUnavailable, match="no direction towards red"):
            move_towards_red(gan, judge, nothing, seed=1)
