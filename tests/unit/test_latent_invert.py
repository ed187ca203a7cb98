"""Searching a GAN for a picture, on a tiny random generator of the genuine class."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from PIL import Image

from demos.latent.generate import to_image
from demos.latent.invert import InversionRequest, InversionStep, invert, measure_distance
from demos.latent.reconstruct import to_tensor
from shared.errors import InvalidRequest
from shared.nets import Generator, GeneratorConfig

SMALL = {"guesses": 32, "candidates": 4, "steps": 40}


@pytest.fixture(scope="module")
def gan() -> Generator:
    torch.manual_seed(1)
    gan = Generator(GeneratorConfig(channels=(32, 16, 8, 8, 8)))
    with torch.no_grad():  # statistics of its own pictures, without which all of them are grey
        for _ in range(20):
            gan(torch.randn(64, 64))
    return gan.eval()


@pytest.fixture(scope="module")
def picture(gan: Generator) -> Image.Image:
    with torch.inference_mode():
        return to_image(gan(torch.randn(1, 64, generator=torch.Generator().manual_seed(9)))[0])


def search(gan: Generator, picture: Image.Image, **values: int) -> list[InversionStep]:
    request = InversionRequest.parse(**SMALL | {"seed": 3} | values)
    return list(invert(gan, picture, request, threading.Event()))


def test_the_search_comes_nearer_to_a_picture_of_its_own_world(
    gan: Generator, picture: Image.Image
) -> None:
    steps = search(gan, picture, steps=120)
    guessed = [step for step in steps if step.phase == "guess"][-1]

    assert guessed.tried == 32
    assert steps[-1].step == steps[-1].steps == 120
    assert steps[-1].progress == 1
    assert steps[-1].closeness.psnr_db > guessed.closeness.psnr_db + 3


def test_each_step_is_the_nearest_so_far_and_is_what_it_says(
    gan: Generator, picture: Image.Image
) -> None:
    steps = search(gan, picture)
    target = to_tensor(picture)
    distances = []
    for step in steps:
        with torch.inference_mode():
            images = gan(torch.from_numpy(step.z)[None])
        distances.append(float(measure_distance(images, target)))
        drawn, shown = (np.asarray(one).astype(int) for one in (to_image(images[0]), step.picture))
        assert np.abs(drawn - shown).max() <= 1

    assert (np.diff(distances) <= 1e-4).all()
    before, after = (np.asarray(image) / 255 for image in (picture, steps[-1].picture))
    assert steps[-1].closeness.l1 == pytest.approx(np.abs(before - after).mean(), abs=0.01)


def test_the_same_seed_finds_the_same_and_another_another(
    gan: Generator, picture: Image.Image
) -> None:
    first, again, other = (search(gan, picture, seed=seed)[-1] for seed in (1, 1, 2))

    assert np.array_equal(first.z, again.z)
    assert not np.array_equal(first.z, other.z)


def test_two_searches_at_once_leave_the_model_as_it_was(
    gan: Generator, picture: Image.Image
) -> None:
    weights = {name: value.clone() for name, value in gan.state_dict().items()}
    pictures = [picture, Image.new("RGB", (80, 60), "orange")]
    alone = [search(gan, one)[-1] for one in pictures]
    with ThreadPoolExecutor(2) as pool:
        together = [steps[-1] for steps in pool.map(lambda one: search(gan, one), pictures)]

    assert [step.picture for step in together] == [step.picture for step in alone]
    assert all(torch.equal(value, weights[name]) for name, value in gan.state_dict().items())
    assert all(parameter.grad is None for parameter in gan.parameters())
    assert all(parameter.requires_grad for parameter in gan.parameters())
    assert not gan.training


def test_each_step_may_run_in_another_thread(gan: Generator, picture: Image.Image) -> None:
    """The page asks for steps from a pool of threads, where gradients may be off."""
    steps = invert(gan, picture, InversionRequest.parse(**SMALL, seed=3), threading.Event())
    found = []

    def advance() -> None:
        with torch.no_grad():
            found.append(next(steps))
            assert not torch.is_grad_enabled()

    for _ in range(10):
        thread = threading.Thread(target=advance)
        thread.start()
        thread.join()
    expected = search(gan, picture)[:10]
    assert [step.picture for step in found] == [step.picture for step in expected]


@pytest.mark.parametrize("after", [1, 5])
def test_stop_ends_the_search_within_one_step(
    gan: Generator, picture: Image.Image, after: int
) -> None:
    stop = threading.Event()
    steps = invert(gan, picture, InversionRequest.parse(**SMALL), stop)
    for _ in range(after):
        next(steps)
    stop.set()

    assert list(steps) == []


@pytest.mark.parametrize("color", ["black", "white", "orange"])
def test_pictures_of_one_colour_are_searched_for_like_any_other(gan: Generator, color: str) -> None:
    last = search(gan, Image.new("RGB", (8, 300), color))[-1]

    assert np.isfinite(last.z).all()
    assert np.isfinite([last.closeness.l1, last.closeness.psnr_db, last.closeness.edges]).all()


def test_one_guess_and_one_step_are_enough_to_run(gan: Generator, picture: Image.Image) -> None:
    steps = search(gan, picture, guesses=1, candidates=1, steps=1)

    assert [step.phase for step in steps] == ["guess", "improve"]


@pytest.mark.parametrize("values", [{"steps": 0}, {"guesses": 0}, {"candidates": 100}])
def test_a_bad_value_is_refused_by_name(values: dict[str, int]) -> None:
    with pytest.raises(InvalidRequest, match=next(iter(values))):
        InversionRequest.parse(**values)
