"""Walks between seeds, on tiny random networks of the genuine classes."""

from __future__ import annotations

import contextlib
import math
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from demos.latent.generate import PairRequest, draw_z, sample
from demos.latent.walk import (
    MOST_SEEDS,
    WalkPath,
    WalkRequest,
    WalkStep,
    generate_walk,
    interpolate,
    read_seeds,
)
from shared.errors import InvalidRequest
from shared.nets import VAE, Generator
from shared.requests import MAX_SEED

positions = st.floats(0, 1)
seeds = st.integers(0, MAX_SEED)


def walk(vae: VAE, gan: Generator, **values: object) -> list[WalkStep]:
    return list(generate_walk(vae, gan, WalkRequest.parse(**values), threading.Event()))


@settings(deadline=None)
@given(seeds, seeds, st.sampled_from(["spherical", "linear"]))
def test_the_ends_are_exact(first: int, second: int, path: WalkPath) -> None:
    start, end = draw_z(first, 64), draw_z(second, 64)

    assert torch.equal(interpolate(start, end, 0, path), start)
    assert torch.equal(interpolate(start, end, 1, path), end)


@settings(deadline=None)
@given(seeds, seeds, positions, st.floats(0.1, 20))
def test_the_spherical_way_keeps_the_length(
    first: int, second: int, position: float, length: float
) -> None:
    start, end = (length * z / z.norm() for z in (draw_z(first, 64), draw_z(second, 64)))

    norm = float(interpolate(start, end, position, "spherical").norm())

    assert norm == pytest.approx(length, rel=1e-5)


@settings(deadline=None)
@given(seeds, seeds, positions)
def test_the_spherical_way_turns_evenly_within_the_plane_of_its_ends(
    first: int, second: int, position: float
) -> None:
    start, end = draw_z(first, 64).double(), draw_z(second, 64).double()

    def angle(one: torch.Tensor, other: torch.Tensor) -> float:
        return math.acos(max(-1.0, min(1.0, float(one @ other / one.norm() / other.norm()))))

    point = interpolate(start, end, position, "spherical")

    assert angle(start, point) == pytest.approx(position * angle(start, end), abs=1e-5)
    assert angle(point, end) == pytest.approx((1 - position) * angle(start, end), abs=1e-5)


def test_the_straight_way_passes_nearer_to_the_origin() -> None:
    start, end = (10 * z / z.norm() for z in (draw_z(1, 64), draw_z(2, 64)))

    middle = interpolate(start, end, 0.5, "linear")

    assert torch.allclose(middle, (start + end) / 2)
    assert float(middle.norm()) < 8.5


@settings(deadline=None)
@given(positions)
def test_the_spherical_way_copes_with_ends_that_span_no_plane(position: float) -> None:
    nothing, z = torch.zeros(64), draw_z(1, 64)

    assert not interpolate(nothing, nothing, position, "spherical").any()
    assert torch.allclose(interpolate(nothing, z, position, "spherical"), position * z)
    assert torch.allclose(interpolate(z, z, position, "spherical"), z, atol=1e-5)
    stretched = interpolate(z, 3 * z, position, "spherical")
    assert torch.allclose(stretched, (1 + 2 * position) * z, atol=1e-4)
    opposite = interpolate(z, -z, position, "spherical")
    assert float(opposite.norm()) == pytest.approx(float(z.norm()), rel=1e-5)


@pytest.mark.parametrize("path", ["spherical", "linear"])
def test_a_walk_comes_by_all_its_seeds(vae: VAE, gan: Generator, path: str) -> None:
    steps = walk(vae, gan, seeds=(1, 2, 3), frames=4, path=path)

    assert [step.seed for step in steps] == [1, *[None] * 3, 2, *[None] * 3, 3]
    assert [step.position for step in steps] == [i / 8 for i in range(9)]
    for step in (steps[0], steps[4], steps[8]):
        assert step.pair == sample(vae, gan, PairRequest.parse(seed=step.seed))


def test_a_closed_walk_leads_back_and_shows_its_first_frame_once(vae: VAE, gan: Generator) -> None:
    steps = walk(vae, gan, seeds=(1, 2), frames=4, closed=True)

    assert [step.seed for step in steps] == [1, None, None, None, 2, None, None, None]
    assert steps[1].pair.z == pytest.approx(steps[7].pair.z, abs=1e-5)


def test_a_walk_from_a_seed_to_itself_or_without_truncation_stands_still(
    vae: VAE, gan: Generator
) -> None:
    for values in ({"seeds": (5, 5)}, {"seeds": (5, 6), "truncation": 0}):
        pictures = {step.pair.gan.tobytes() for step in walk(vae, gan, frames=4, **values)}
        assert len(pictures) == 1


def test_stop_ends_a_walk_within_one_step(vae: VAE, gan: Generator) -> None:
    stop = threading.Event()
    steps = generate_walk(vae, gan, WalkRequest.parse(), stop)
    next(steps)
    stop.set()

    assert list(steps) == []


def test_every_drawn_seed_is_told() -> None:
    request = WalkRequest.parse(seeds=(-1, 7, -1))

    assert request.seeds[1] == 7
    assert min(request.seeds) >= 0
    assert request.seed == request.seeds[0] != request.seeds[2]
    assert WalkRequest.parse(seeds=request.seeds) == request


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("7, 12, 3", (7, 12, 3)),
        (" 7,12 ", (7, 12)),
        ("7 12;3\n4,", (7, 12, 3, 4)),
        ("-1, -1", (-1, -1)),
        (f"0,{MAX_SEED}", (0, MAX_SEED)),
    ],
)
def test_seeds_are_read(text: str, wanted: tuple[int, ...]) -> None:
    assert read_seeds(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no seeds"),
        (" , ", "no seeds"),
        ("7", "only one seed"),
        (", ".join("1" * (MOST_SEEDS + 1)), "9 seeds"),
        ("7, twelve", "“twelve” is no seed"),
        ("7, 1.5", "“1.5” is no seed"),
        ("7, 1e3", "whole numbers"),
        ("7, ٣", "whole numbers"),
        ("7, -2", "between 0 and"),
        (f"7, {MAX_SEED + 1}", "between 0 and"),
        ("7, " + "9" * 10_000, "99999999999999999...” is no seed"),
    ],
)
def test_other_text_is_refused_in_plain_words(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_seeds(text)


@settings(deadline=None)
@given(st.text())
def test_any_text_gives_seeds_or_a_plain_message(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert WalkRequest.parse(seeds=read_seeds(text))


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"truncation": 2.5}, "truncation"),
        ({"frames": 2}, "frames"),
        ({"frames": 7}, "frames"),
        ({"path": "scenic"}, "path"),
        ({"seeds": (1, -2)}, "seeds"),
        ({"seeds": (1,)}, "seeds"),
        ({"dataset": ""}, "dataset"),
    ],
)
def test_a_bad_value_is_refused_by_name(values: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest, match=field):
        WalkRequest.parse(**values)
