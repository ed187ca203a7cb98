"""What the models are judged with: distances at their limits, and a classifier that sees."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from shared.nets import VAE, VAEConfig
from training.critter_classifier import BARE, damage, judge, load_judge, measure_accuracy
from training.critter_data import VALUES, load_critters
from training.critter_metrics import Statistics, frechet_distance, to_model_range
from training.evaluate_latent import cover, evenness, measure_psnr, precision_and_recall

RNG = torch.Generator().manual_seed(0)


def test_the_frechet_distance_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    one, other = (
        Statistics(rng.normal(size=5), np.cov(rng.normal(size=(5, 40)))) for _ in range(2)
    )
    cross = scipy.linalg.sqrtm(one.covariance @ other.covariance).real
    spread = np.trace(one.covariance + other.covariance - 2 * cross)
    expected = np.square(one.mean - other.mean).sum() + spread
    assert frechet_distance(one, other) == pytest.approx(expected)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)


def test_a_set_is_precise_and_complete_about_itself_and_not_about_another() -> None:
    points = torch.randn(50, 4, generator=RNG)
    assert precision_and_recall(points, points) == (1.0, 1.0)
    assert precision_and_recall(points, points + 100) == (0.0, 0.0)
    clump = points[:10].repeat(5, 1)  # what is drawn is right, but always the same
    precision, recall = precision_and_recall(points, clump)
    assert precision == 1.0
    assert recall < 0.5


def test_coverage_and_evenness_count_values() -> None:
    answers = {name: torch.arange(1000) % len(words) for name, words in VALUES.items()}
    assert set(cover(answers).values()) == {1.0}
    assert all(share > 0.99 for share in evenness(answers).values())
    answers["body"] = torch.zeros(1000, dtype=torch.long)
    assert cover(answers)["body"] == pytest.approx(1 / len(VALUES["body"]))
    assert evenness(answers)["body"] == 0.0


def test_a_perfect_reconstruction_has_no_noise() -> None:
    class Mirror(VAE):
        def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images, images

        def decode(self, z: torch.Tensor) -> torch.Tensor:
            return z - 0.02

    images = torch.zeros(4, 3, 64, 64)
    assert measure_psnr(Mirror(VAEConfig()), images) == pytest.approx(40.0, abs=0.01)


def test_the_judge_reads_fresh_critters_and_damaged_ones() -> None:
    critters = load_critters(200, seed=12345)
    images = to_model_range(critters.images)
    _, answers = judge(load_judge(), images)
    assert min(measure_accuracy(answers, critters.attributes).values()) >= 0.97
    _, answers = judge(load_judge(), damage(images, RNG))
    assert min(measure_accuracy(answers, critters.attributes).values()) >= 0.9


def test_the_accent_counts_only_where_a_top_shows_it() -> None:
    attributes = {name: np.zeros(2, dtype=np.int64) for name in VALUES}
    attributes["top"] = np.array([BARE, BARE + 1])
    answers = {name: torch.from_numpy(values) for name, values in attributes.items()}
    answers["accent"] = torch.tensor([3, 0])
    assert measure_accuracy(answers, attributes)["accent"] == 1.0
