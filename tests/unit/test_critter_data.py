import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from shared.critters.attributes import CRITTERS, VALUES, render_critter, sample_attributes
from shared.critters.picture_metrics import Statistics, frechet_distance, to_model_range
from shared.nets import VAE, Generator
from training.pictures import load_critters


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.common.DATA_CACHE", tmp_path / "cache")


def some_words() -> dict[str, str]:
    return {name: words[-1] for name, words in VALUES.items()}


def test_same_seed_same_critters_from_the_cache_too(tmp_path: Path) -> None:
    drawn = load_critters(4, seed=5)
    cached = load_critters(4, seed=5)
    assert len(list((tmp_path / "cache").iterdir())) == 1
    assert drawn.images.shape == (4, 64, 64, 3)
    assert drawn.images.dtype == np.uint8
    assert np.array_equal(drawn.images, cached.images)
    assert drawn.describe(2) == cached.describe(2)


def test_another_seed_gives_other_critters() -> None:
    assert not np.array_equal(load_critters(3, seed=0).images, load_critters(3, seed=1).images)


def test_a_picture_shows_exactly_its_attributes() -> None:
    critters = load_critters(3, seed=2, size=32)
    for index in range(len(critters)):
        assert np.array_equal(critters.images[index], render_critter(critters.describe(index), 32))


@pytest.mark.parametrize("name", VALUES)
def test_every_value_can_be_drawn_and_looks_different(name: str) -> None:
    pictures = {render_critter({**some_words(), name: word}).tobytes() for word in VALUES[name]}
    assert len(pictures) == len(VALUES[name])


def test_attributes_are_uniform_and_independent() -> None:
    attributes = sample_attributes(20_000, seed=0)
    for name, column in attributes.items():
        shares = np.bincount(column, minlength=len(VALUES[name])) / len(column)
        np.testing.assert_allclose(shares, 1 / len(VALUES[name]), atol=0.015)
    correlations = np.corrcoef(np.stack(list(attributes.values())))
    assert np.abs(correlations - np.eye(len(attributes))).max() < 0.03


def test_held_out_pairs_are_counted_and_can_be_left_out() -> None:
    critters = load_critters(60, seed=3)
    counts = CRITTERS.count_held_out(critters.attributes)
    for index, count in enumerate(counts):
        words = critters.describe(index)
        pairs = [
            (words[one], words[other]) in pairs
            for (one, other), pairs in CRITTERS.held_out_pairs.items()
        ]
        assert sum(pairs) == count
    fair = critters.without_held_out()
    assert 0 < len(fair) < len(critters)
    assert not CRITTERS.count_held_out(fair.attributes).any()
    first = int(np.flatnonzero(counts == 0)[0])
    assert fair.describe(0) == critters.describe(first)
    assert np.array_equal(fair.images[0], critters.images[first])


def test_a_skew_changes_what_it_says_and_nothing_else() -> None:
    fair = sample_attributes(20_000, seed=0)
    skewed = sample_attributes(20_000, seed=0, skew="smiling")
    red = skewed["color"] == VALUES["color"].index("red")
    smiles = skewed["mouth"] == VALUES["mouth"].index("smile")
    assert smiles[red].mean() == pytest.approx(0.9, abs=0.02)
    others = np.bincount(skewed["mouth"][red & ~smiles], minlength=len(VALUES["mouth"]))[1:]
    assert others.min() > 0
    assert np.array_equal(skewed["mouth"][~red], fair["mouth"][~red])
    for name in set(VALUES) - {"mouth"}:
        assert np.array_equal(skewed[name], fair[name])


def test_skewed_pictures_show_the_skewed_attributes_and_have_a_file_of_their_own(
    tmp_path: Path,
) -> None:
    skewed = load_critters(30, seed=0, skew="smiling")
    for index in range(len(skewed)):
        assert np.array_equal(skewed.images[index], render_critter(skewed.describe(index)))
    fair = load_critters(30, seed=0)
    same = (fair.images == skewed.images).all(axis=(1, 2, 3))
    assert 0 < (~same).sum() < 10
    again = load_critters(30, seed=0, skew="smiling")
    assert np.array_equal(again.images, skewed.images)
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_an_unknown_skew_is_refused() -> None:
    with pytest.raises(KeyError, match="frowning"):
        load_critters(4, seed=0, skew="frowning")


def test_unknown_word_is_refused() -> None:
    with pytest.raises(KeyError, match="moustache"):
        render_critter({**some_words(), "mouth": "moustache"})


def test_frechet_distance_is_zero_for_equal_and_grows_with_difference() -> None:
    images = to_model_range(load_critters(40, seed=0).images)
    same, darker = Statistics.of(images), Statistics.of(images * 0.5)
    assert frechet_distance(same, same) == pytest.approx(0, abs=1e-3)
    assert frechet_distance(same, darker) > 1


@pytest.mark.parametrize(("script", "model"), [("train_vae", VAE), ("train_gan", Generator)])
def test_two_steps_of_training_leave_a_model_that_loads_and_resumes(
    script: str, model: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "model"
    words = ["--count=4", "--held-out=4", "--max-steps=2", "--device=cpu", "--minutes=1"]
    module = import_module(f"training.{script}")
    for extra in ([], ["--resume"]):
        monkeypatch.setattr(sys, "argv", [script, *words, f"--out={out}", *extra])
        module.main()
    assert torch.load(out / "checkpoint.pt", weights_only=True)["step"] == 4
    assert model.from_pretrained(out).config.z_dim == 64  # type: ignore[attr-defined]
    assert 'frechet"' in (out / "training.json").read_text()
