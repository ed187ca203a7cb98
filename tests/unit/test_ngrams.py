"""Kneser-Ney n-grams, against the formulas of the paper, counted one by one."""

from __future__ import annotations

from collections import Counter

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


class Reference:
    """Interpolated modified Kneser-Ney as Chen and Goodman write it, one n-gram at a time."""

    def __init__(self, stream: list[int], vocabulary: int, order: int) -> None:
        self.vocabulary = vocabulary
        grams = [
            Counter(tuple(stream[at : at + size]) for at in range(len(stream) - size + 1))
            for size in range(order + 1)
        ]
        before = [Counter(gram[1:] for gram in longer) for longer in grams[1:]]
        self.counts = [*before, grams[order]]  # [size][gram]; the longest as often as they stand
        self.discounts = [self.discount(Counter(counts.values())) for counts in self.counts]

    @staticmethod
    def discount(times: Counter[int]) -> list[float]:
        """Equation 26; not to be used where a count of counts is zero."""
        assert min(times[n] for n in (1, 2, 3, 4)) > 0 or len(times) == 1
        if len(times) == 1:  # the empty n-gram
            return []
        y = times[1] / (times[1] + 2 * times[2])
        discounts = [0.0, *(n - (n + 1) * y * times[n + 1] / times[n] for n in (1, 2, 3))]
        assert all(0 < taken < n for n, taken in enumerate(discounts) if n)
        return discounts

    def probability(self, context: tuple[int, ...], symbol: int) -> float:
        """Equation 21, down to a uniform choice."""
        size = len(context) + 1
        shorter = self.probability(context[1:], symbol) if context else 1 / self.vocabulary
        after = {
            gram[-1]: count for gram, count in self.counts[size].items() if gram[:-1] == context
        }
        if not after:
            return shorter
        discounts = self.discounts[size]
        taken = {one: discounts[min(count, 3)] for one, count in after.items()}
        kept = after.get(symbol, 0) - taken.get(symbol, 0)
        return (kept + sum(taken.values()) * shorter) / sum(after.values())


@pytest.mark.parametrize("order", ORDERS)
def test_probabilities_are_those_of_the_paper(order: int) -> None:
    rng = np.random.default_rng(0)
    stream, held_out = (np.minimum(rng.zipf(1.5, size) - 1, 199) for size in (4000, 60))
    reference = Reference(stream.tolist(), 200, order)
    symbols = held_out.tolist()
    expected = [
        reference.probability(tuple(symbols[max(0, at - order + 1) : at]), symbols[at])
        for at in range(len(symbols))
    ]
    measured = np.exp(-KneserNey(stream, 200, order).nats(held_out))
    assert measured == pytest.approx(expected, rel=1e-9)


def test_too_short_a_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        KneserNey(np.array([1, 2]), 3, 5)
