from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from shared.errors import InvalidRequest
from shared.requests import MAX_SEED, Request


class Painting(Request):
    prompt: str = Field("a cat", min_length=1, max_length=10)
    brush_size: float = Field(0.5, ge=0, le=2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"brush_size": 9}, "The brush size must be at most 2, not 9."),
        ({"brush_size": -1}, "The brush size must be at least 0, not -1."),
        ({"prompt": ""}, "The prompt is empty. Write a few words first."),
        ({"prompt": "x" * 100_000}, "The prompt is too long: 100,000 characters, at most 10."),
        ({"seed": MAX_SEED + 1}, "The seed must be at most 2147483647, not 2147483648."),
        ({"seed": "twelve"}, "The seed must be a whole number, not 'twelve'."),
        ({"seed": 1.5}, "The seed must be a whole number, not 1.5."),
        ({"brush_size": float("nan")}, "The brush size must be a number, not nan."),
        ({"brush_size": None}, "The brush size is empty: it must be a number."),
        ({"prompt": 3}, "The prompt must be text, not 3."),
    ],
)
def test_a_bad_value_is_named_in_plain_words(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        Painting.parse(**values)
    assert str(caught.value) == message


def test_all_bad_values_are_named_at_once() -> None:
    with pytest.raises(InvalidRequest, match=r"prompt.*brush size"):
        Painting.parse(prompt="", brush_size=9)


def test_minus_one_draws_a_seed_and_reports_it() -> None:
    seeds = {Painting.parse(seed=-1).seed for _ in range(5)}
    assert len(seeds) == 5
    assert all(0 <= seed <= MAX_SEED for seed in seeds)


def test_a_given_seed_is_kept() -> None:
    assert Painting.parse(seed=7).seed == 7


def test_limits_and_numbers_come_from_the_declaration() -> None:
    assert Painting.limits("brush_size") == (0, 2, 0.5)
    assert Painting.numbers() == {"brush_size": 0.5, "seed": -1}
    assert Painting.name_numbers(1.0, 3) == {"brush_size": 1.0, "seed": 3}
