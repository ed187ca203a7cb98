"""What the models are judged with: distances at their limits, and a classifier that sees."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from shared.critters.attributes import BARE, VALUES, sample_attributes
from shared.critters.figures import ClassifiedPictures, cover, describe, evenness, histogram, plot
from shared.critters.picture_metrics import (
    Statistics,
    density_and_coverage,
    frechet_distance,
    measure_reach,
    nearest_distances,
    precision_and_recall,
    real_batches,
    to_model_range,
)
from shared.nets import VAE, Generator, GeneratorConfig, VAEConfig
from shared.nets.judge import judge
from training.critter_classifier import damage, load_judge, measure_accuracy
from training.evaluate_latent import (
    find_repeats,
    invert,
    measure_memory,
    measure_psnr,
    measure_skew,
)
from training.pictures import load_critters

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


def test_density_and_coverage_are_one_for_a_set_and_itself() -> None:
    points = torch.randn(80, 4, generator=RNG)
    assert density_and_coverage(points, points) == (1.0, 1.0)
    assert density_and_coverage(points, points + 100) == (0.0, 0.0)
    clump = points[:1] + 1e-3 * torch.randn(80, 4, generator=RNG)
    density, coverage = density_and_coverage(points, clump)
    assert density >= 1.0
    assert coverage < 0.5


def test_density_and_coverage_of_two_sets_of_a_kind() -> None:
    real, drawn = (torch.randn(1500, 3, generator=RNG) for _ in range(2))
    density, coverage = density_and_coverage(real, drawn, nearest=5)
    assert density == pytest.approx(1.0, abs=0.1)
    assert coverage == pytest.approx(1 - 0.5**5, abs=0.02)


def test_neighbours_are_found_in_parts_as_at_once() -> None:
    points, others = torch.randn(1203, 3, generator=RNG), torch.randn(90, 3, generator=RNG)
    everything = torch.cdist(points, points).sort(dim=1).values
    torch.testing.assert_close(measure_reach(points, 2), everything[:, 2], atol=1e-3, rtol=0)
    nearest = torch.cdist(points, others).min(dim=1).values
    torch.testing.assert_close(nearest_distances(points, others), nearest, atol=1e-3, rtol=0)
    with pytest.raises(ValueError, match="3 pictures have no neighbour number 3"):
        measure_reach(points[:3], 3)


def some_pictures(count: int = 60) -> ClassifiedPictures:
    answers = {
        name: torch.from_numpy(column) for name, column in sample_attributes(count, seed=3).items()
    }
    return ClassifiedPictures(
        torch.randn(count, 6, generator=RNG),
        answers,
        torch.rand(count, generator=RNG),
        torch.rand(count, 8, generator=RNG),
    )


def test_a_set_that_is_compared_with_itself_gets_the_best_figures() -> None:
    view = some_pictures()
    figures = describe(view, view)
    assert figures["frechet"] == pytest.approx(0, abs=1e-3)
    assert [figures[name] for name in ("precision", "recall", "density", "coverage")] == [1.0] * 4


def test_what_is_plotted_adds_up() -> None:
    view = some_pictures()
    plots = plot(view, {"real": view, "vae": view, "gan": view})
    for name in ("diversity", "sharpness"):
        assert sum(plots[name]["gan"]) == pytest.approx(1, abs=0.01)
        assert plots[name]["from"] < plots[name]["to"]
    assert [len(plots["values"][name]["vae"]) for name in VALUES] == [
        len(words) for words in VALUES.values()
    ]
    assert len(plots["points"]["real"]) == len(view)
    assert sum(histogram({"real": torch.ones(4)})["real"]) == 1.0


def test_a_set_of_training_pictures_is_found_out() -> None:
    training = some_pictures(40)
    copies = ClassifiedPictures(
        training.features[:20], training.answers, training.sharpness[:20], training.colors[:20]
    )
    figures, plotted = measure_memory({"real": some_pictures(), "gan": copies}, training)
    assert figures["gan"]["nearest_training"] == pytest.approx(0, abs=1e-2)
    assert figures["gan"]["too_near"] == 1.0
    assert figures["real"]["too_near"] <= 0.05
    assert sum(plotted["gan"]) == pytest.approx(1, abs=0.01)


def test_a_repeat_is_alike_in_all_that_can_be_seen() -> None:
    rows = {name: np.zeros(1, dtype=np.int64) for name in VALUES}
    answers = {name: torch.zeros(4, dtype=torch.long) for name in VALUES}
    answers["mouth"][1] = 1
    answers["accent"][2] = 1  # under a bare head: cannot be seen
    answers["top"][3] = BARE + 1
    assert find_repeats(answers, {**rows, "top": np.array([BARE])}) == 0.5


def test_smiles_are_counted_for_every_colour() -> None:
    answers = {name: torch.zeros(4, dtype=torch.long) for name in VALUES}
    answers["color"] = torch.tensor([0, 0, 0, 3])
    answers["mouth"] = torch.tensor([0, 0, 5, 5])
    counts = measure_skew({"data": answers})["counts"]["data"]
    assert counts["red"] == [3, 2]
    assert counts[VALUES["color"][3]] == [1, 0]
    assert counts["blue"] == [0, 0]


def test_what_a_generator_has_drawn_it_can_find_again() -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(z_dim=4, channels=(8, 8, 8, 8, 8))).eval()
    with torch.inference_mode():
        images = generator(torch.randn(2, 4, generator=RNG)).clone()
        other = generator(torch.randn(2, 4, generator=RNG))
    found = invert(generator, images, guesses=32, starts=2, steps=60)
    assert (found - images).abs().mean() < 0.2 * (other - images).abs().mean()
    assert all(weight.grad is None for weight in generator.parameters())


def test_batches_of_real_pictures_are_all_of_them_in_order() -> None:
    images = np.arange(7 * 4 * 4 * 3, dtype=np.uint8).reshape(7, 4, 4, 3)
    batches = list(real_batches(images, batch=3))
    assert [len(batch) for batch in batches] == [3, 3, 1]
    assert torch.equal(torch.cat(batches), to_model_range(images))


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
