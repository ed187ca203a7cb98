"""Pairs of the latent-space room, on tiny random networks of the genuine classes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from demos.latent.directions import Directions, read_directions
from demos.latent.generate import (
    MOST_CELLS,
    Z_DIM,
    DecodeRequest,
    PairRequest,
    SeedsRequest,
    compute_z,
    decode,
    decode_each,
    draw_z,
    sample,
)
from shared.errors import InvalidRequest, ModelUnavailable
from shared.nets import VAE, Generator
from shared.settings import ROOT

UNIT = np.eye(Z_DIM)


@pytest.fixture
def directions() -> tuple[Directions, Directions]:
    """The two models have horns along different numbers of z."""
    return (
        Directions(UNIT[:8], {"top": {"horns": UNIT[10]}}),
        Directions(UNIT[8:16], {"top": {"horns": UNIT[20]}}),
    )


def test_a_seed_gives_the_same_pair_and_another_seed_another(vae: VAE, gan: Generator) -> None:
    first, again, other = (sample(vae, gan, PairRequest.parse(seed=seed)) for seed in (5, 5, 6))

    assert first == again
    assert first.vae != other.vae
    assert first.gan != other.gan
    assert first.vae.size == first.gan.size == (64, 64)


def test_without_truncation_left_all_seeds_look_alike(vae: VAE, gan: Generator) -> None:
    pairs = [sample(vae, gan, PairRequest.parse(seed=seed, truncation=0)) for seed in (1, 2)]

    assert pairs[0] == pairs[1]
    assert not any(pairs[0].z)


def test_a_point_takes_the_place_of_what_the_seed_draws(vae: VAE, gan: Generator) -> None:
    drawn = draw_z(5, Z_DIM).tolist()
    request = PairRequest.parse(seed=9, point=drawn, truncation=0.5)

    assert sample(vae, gan, request) == sample(vae, gan, PairRequest.parse(seed=5, truncation=0.5))


def test_each_model_moves_along_its_own_direction(directions: tuple[Directions, ...]) -> None:
    still, moved = (
        compute_z(PairRequest.parse(seed=3, **moves), (directions[0], directions[1]))
        for moves in ({}, {"attributes": {"top": {"horns": 1.5}}, "principal": [0, -2.0]})
    )

    np.testing.assert_array_equal(moved[0], still[0])
    np.testing.assert_allclose(moved[1] - still[1], 1.5 * UNIT[10] - 2 * UNIT[1], atol=1e-6)
    np.testing.assert_allclose(moved[2] - still[2], 1.5 * UNIT[20] - 2 * UNIT[9], atol=1e-6)


def test_a_pair_is_decoded_where_it_was_moved_to(
    vae: VAE, gan: Generator, directions: tuple[Directions, Directions]
) -> None:
    request = PairRequest.parse(seed=3, attributes={"top": {"horns": 3}})
    pair = sample(vae, gan, request, directions)
    _, z_vae, z_gan = compute_z(request, directions)

    assert pair.vae == decode(vae, gan, z_vae).vae
    assert pair.gan == decode(vae, gan, z_gan).gan
    assert pair.vae != decode(vae, gan, z_gan).vae


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"attributes": {"top": {"hat": 1}}}, "hat.*There are: horns"),
        ({"attributes": {"shoes": {"red": 1}}}, "shoes.*There are: top"),
        ({"principal": [1.0] * 9}, "8 principal directions, not 9"),
    ],
)
def test_a_direction_that_does_not_exist_is_refused_by_name(
    directions: tuple[Directions, Directions], values: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        compute_z(PairRequest.parse(seed=1, **values), directions)


def test_without_directions_only_moves_are_refused() -> None:
    compute_z(PairRequest.parse(seed=1, principal=[0, 0]))
    with pytest.raises(InvalidRequest, match="directions"):
        compute_z(PairRequest.parse(seed=1, principal=[0, 1]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"truncation": 2.5}, "truncation must be at most 2"),
        ({"truncation": float("nan")}, "truncation must be a number"),
        ({"point": [0.0] * 63}, "point must have all 64 numbers of z, or none, not 63"),
        ({"point": [99.0] * 64}, "point 0 must be at most 12"),
        ({"attributes": {"top": {"horns": 4}}}, "attributes top horns must be at most 3"),
        ({"principal": [7]}, "principal 0 must be at most 6"),
        ({"seed": -2}, "seed must be at least -1"),
        ({"seed": "seven"}, "seed must be a whole number"),
        ({"dataset": ""}, "dataset is empty"),
    ],
)
def test_a_bad_value_is_refused_by_name(values: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        PairRequest.parse(**values)


def test_several_seeds_begin_with_the_one_asked_for() -> None:
    seeds = SeedsRequest.parse(seed=4, count=3).seeds

    assert seeds[0] == 4
    assert len(set(seeds)) == 3
    with pytest.raises(InvalidRequest, match="count"):
        SeedsRequest.parse(count=1000)


def test_many_are_decoded_at_once_as_one_by_one(vae: VAE, gan: Generator) -> None:
    many = [draw_z(seed, Z_DIM) for seed in (1, 2, 3)]
    of_vae, of_gan = decode_each(vae, gan, many[:1], [z.tolist() for z in many])

    assert of_vae[0] == decode(vae, gan, many[0]).vae
    for picture, z in zip(of_gan, many, strict=True):
        one = np.asarray(decode(vae, gan, z).gan, dtype=int)
        assert np.abs(np.asarray(picture, dtype=int) - one).max() <= 1
    assert decode_each(vae, gan, [], []) == ([], [])


@pytest.mark.parametrize(
    "values",
    [
        {"vae": [[0.0] * 63]},
        {"gan": [[0.0] * Z_DIM] * (MOST_CELLS + 1)},
        {"vae": [[float("inf")] * Z_DIM]},
        {"gan": "all"},
    ],
)
def test_what_cannot_be_decoded_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        DecodeRequest.parse(**values)


def test_the_bundled_directions_are_read() -> None:
    for name in ("vae", "gan"):
        found = read_directions(ROOT / "models" / f"latent-critters-{name}")
        assert found
        np.testing.assert_allclose(found.principal @ found.principal.T, np.eye(8), atol=1e-3)
        assert found.attributes["color"]["red"].shape == (Z_DIM,)


def test_a_model_without_directions_has_none(tmp_path: Path) -> None:
    assert read_directions(tmp_path) is None


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"principal": [[1, 2]]}',
        json.dumps({"principal": [[1, 0]], "attributes": {"top": {"horns": [1]}}}),
        json.dumps({"principal": [[1, 0]], "attributes": {"top": {"horns": ["x", 1]}}}),
    ],
)
def test_damaged_directions_are_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "directions.json").write_text(text)

    with pytest.raises(ModelUnavailable, match="damaged"):
        read_directions(tmp_path)
