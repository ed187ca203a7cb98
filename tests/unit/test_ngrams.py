"""Kneser-Ney n-grams, against what counting by hand gives."""

from __future__ import annotations

import numpy as np
import pytest

from training.ngrams import KneserNey

STREAM = np.random.default_rng(0).integers(0, 5, 400) // 2
ORDERS = (1, 2, 3, 5)


@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_after_any_context_sum_to_one(order: int) -> None:
    model = KneserNey(STREAM, 4, order)  # symbol 3 is never seen
    for context in ([], [0], [2, 1, 0, 1], [3, 3, 3]):
        after = [model.nats(np.array([*context, symbol]))[-1] for symbol in range(4)]
        assert np.exp(-np.array(after)).sum() == pytest.approx(1)
        assert np.isfinite(after).all()


def test_what_was_seen_is_less_surprising() -> None:
    model = KneserNey(np.array([0, 1, 2, 3] * 20), 4, 3)
    follows, breaks = model.nats(np.array([0, 1, 2])), model.nats(np.array([0, 1, 3]))
    assert follows[-1] < 0.2 < 2 < breaks[-1]


def test_longer_contexts_help_where_there_is_something_to_remember() -> None:
    rng = np.random.default_rng(1)
    words = ["the fox", "the hen", "a goose", "an owl"]
    text = " and ".join(rng.choice(words, 2000)).encode()
    stream = np.frombuffer(text, np.uint8)
    bits = [KneserNey(stream[:15000], 256, n).nats(stream[15000:]).mean() for n in (1, 2, 4, 7)]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < 0.25 * bits[0]


def test_bigrams_by_hand() -> None:
    # a b a b a c: discounts fall back to none where counts of counts are as few as here
    model = KneserNey(np.array([0, 1, 0, 1, 0, 2]), 3, 2)
    order = model.orders[1]
    taken = [1 - r * 3 for r in order.discounted[:2]]
    assert order.left[0] == pytest.approx((2 - 3 * order.discounted[0] + taken[1]) / 3)
    assert order.left[2] == 1  # nothing ever followed the last symbol


def test_too_short_a_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        KneserNey(np.array([1, 2]), 3, 5)
