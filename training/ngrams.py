"""Kneser-Ney n-grams: the strongest count-based model, and so the baseline of a network.

Interpolated, with three discounts per order (Chen and Goodman 1998, "An Empirical Study of
Smoothing Techniques for Language Modeling", section 3). Symbols may be tokens, characters or notes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

UNSEEN = -1


@dataclass(frozen=True)
class _Order:
    """The n-grams of one length, and the probability that each context leaves to shorter ones.

    Attributes:
        keys: (G,) sorted; the index of an n-gram's context times the vocabulary, plus its last
            symbol. The position here is the index of the n-gram.
        discounted: (G,) counts after the discount, over the total of the context.
        left: (C,) weight of shorter contexts after the discount; 1 for an unseen context.
    """

    keys: np.ndarray
    discounted: np.ndarray
    left: np.ndarray

    def find(self, keys: np.ndarray) -> np.ndarray:
        """Return indices of n-grams, or ``UNSEEN``."""
        places = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[places] == keys, places, UNSEEN)


class KneserNey:
    """Predicts a symbol from the ``order - 1`` before it."""

    def __init__(self, stream: np.ndarray, vocabulary: int, order: int) -> None:
        """Count ``stream``, (N,) integers below ``vocabulary``.

        Raises:
            ValueError: The stream is shorter than one n-gram.
        """
        if len(stream) < order:
            raise ValueError(f"{len(stream)} symbols are too few for n-grams of {order}")
        self.vocabulary = vocabulary
        stream = stream.astype(np.int64)
        # The context of an n-gram is the (n-1)-gram that ends one position earlier, and its suffix
        # the (n-1)-gram that ends at the same position.
        ends = np.zeros(len(stream) + 1, np.int64)  # length 0: the empty n-gram at every position
        keys, contexts, suffixes, counts = [], [1], [], []
        for length in range(1, order + 1):
            grams = ends[:-1] * vocabulary + stream[length - 1 :]
            found, first, longer, count = np.unique(
                grams, return_index=True, return_inverse=True, return_counts=True
            )
            keys.append(found)
            suffixes.append(ends[1:][first])
            counts.append(count)
            contexts.append(len(found))
            ends = longer
        # Shorter n-grams are counted by distinct contexts, not by occurrences.
        for length in range(order - 1):
            counts[length] = np.bincount(suffixes[length + 1], minlength=len(keys[length]))
        self.orders = [
            _discount(found, count, found // vocabulary, size)
            for found, count, size in zip(keys, counts, contexts[:-1], strict=True)
        ]

    def nats(self, stream: np.ndarray) -> np.ndarray:
        """Return the negative log-likelihood of each symbol of ``stream``, (M,), in nats."""
        stream = stream.astype(np.int64)
        probability = np.full(len(stream), 1 / self.vocabulary)
        contexts = np.zeros(len(stream) + 1, np.int64)
        for order in self.orders:
            before = contexts[:-1]
            grams = order.find(before * self.vocabulary + stream)
            grams[before == UNSEEN] = UNSEEN
            left = np.where(before == UNSEEN, 1.0, order.left[before])
            seen = np.where(grams == UNSEEN, 0.0, order.discounted[grams])
            probability = seen + left * probability
            contexts = np.concatenate([[UNSEEN], grams])
        return -np.log(probability)


def _discount(keys: np.ndarray, counts: np.ndarray, contexts: np.ndarray, size: int) -> _Order:
    n1, n2, n3, n4 = (max(1, int((counts == times).sum())) for times in (1, 2, 3, 4))
    y = n1 / (n1 + 2 * n2)
    discounts = np.array([0, 1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3])
    taken = discounts.clip(0, [0, 1, 2, 3])[counts.clip(max=3)]
    total = np.bincount(contexts, weights=counts, minlength=size)
    left = np.bincount(contexts, weights=taken, minlength=size) / np.maximum(total, 1)
    return _Order(
        keys=keys,
        discounted=(counts - taken) / np.maximum(total, 1)[contexts],
        left=np.where(total > 0, left, 1.0),
    )
