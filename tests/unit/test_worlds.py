"""The worlds: every attribute shows, and what is held out is not needed to know every value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shared.critters.picture_metrics import to_model_range
from shared.critters.vocabulary import GRAMMARS
from shared.critters.world import World
from shared.critters.worlds import WORLDS
from shared.nets.judge import judge
from training.critter_classifier import FOLDERS, load_judge, measure_accuracy
from training.pictures import load_pictures


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> World:
    return WORLDS[request.param]


def test_words_and_pictures_have_the_same_attributes(world: World) -> None:
    told = {**world.grammar.adjectives, **world.grammar.features}
    assert world.grammar is GRAMMARS[world.name]
    assert {name: set(table) for name, table in told.items()} == {
        name: set(values) for name, values in world.values.items()
    }


def test_every_value_looks_different(world: World) -> None:
    words = {name: values[-1] for name, values in world.values.items()}
    for name, values in world.values.items():
        pictures = {world.render({**words, name: word}).tobytes() for word in values}
        assert len(pictures) == len(values), name


def test_the_accent_shows_just_where_something_bears_it(world: World) -> None:
    if "accent" not in world.values:
        assert all(
            world.shows(name, world.sample(5, np.random.default_rng(0))).all()
            for name in world.values
        )
        return
    part, bearers = world.grammar.accented
    words = {name: values[0] for name, values in world.values.items()}
    one, other = world.values["accent"][:2]
    for row, value in enumerate(world.values[part]):
        pictures = [world.render({**words, part: value, "accent": color}) for color in (one, other)]
        differs = bool((pictures[0] != pictures[1]).any())
        column = {part: np.array([row]), "accent": np.array([0])}
        assert differs == (value in bearers) == world.shows("accent", column)[0]


def test_every_value_is_met_beside_the_held_out_pairs(world: World) -> None:
    attributes = world.sample(5_000, np.random.default_rng(0))
    left = world.count_held_out(attributes) == 0
    assert 0.3 < left.mean() < 0.7
    for name, words in world.values.items():
        assert len(np.unique(attributes[name][left])) == len(words)


def test_the_judge_reads_fresh_pictures(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.common.DATA_CACHE", tmp_path)
    pictures = load_pictures(world, 200, seed=12345)
    _, answers = judge(load_judge(FOLDERS[world.name]), to_model_range(pictures.images))
    accuracy = measure_accuracy(answers, pictures.attributes, world)
    assert set(accuracy) == set(world.values)
    assert min(accuracy.values()) >= 0.97
