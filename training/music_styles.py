"""Classifies the style of a piece by its notes, independently of the tune model.

Multinomial logistic regression on counts from a melody: the rhythms of its bars, its intervals, its
range, the number of simultaneous notes. It is trained on the training pieces; its accuracy on the
held-out pieces shows how well it can tell styles apart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from shared.tunes.controls import METERS, STYLES
from training.music_metrics import LARGEST_LEAP, all_notes, list_bars
from training.music_pieces import TICKS, Tune

RHYTHMS = 500  # the most frequent rhythms of a bar
LENGTHS = (3, 4, 6, 8, 9, 12, 18, 24, 36, 48, 72)  # ticks
STEPS, DECAY = 100, 1e-3


class StyleJudge:
    """Predicts one of ``STYLES``."""

    def __init__(self, tunes: Sequence[Tune]) -> None:
        """Fit to ``tunes``; those without a style are ignored."""
        known = [tune for tune in tunes if tune.style in STYLES]
        counts: Counter[tuple[str, tuple[int, ...]]] = Counter()
        for tune in known:
            counts.update({(tune.meter, rhythm) for rhythm in _rhythms(tune)})
        self._rhythms = {key: place for place, (key, _) in enumerate(counts.most_common(RHYTHMS))}
        features = np.stack([self._describe(tune) for tune in known])
        self._mean, self._std = features.mean(0), features.std(0) + 1e-3
        x = torch.tensor((features - self._mean) / self._std, dtype=torch.float32)
        y = torch.tensor([STYLES.index(tune.style) for tune in known])
        self._weights = torch.zeros(x.shape[1] + 1, len(STYLES), requires_grad=True)
        search = "strong_wolfe"
        optimizer = torch.optim.LBFGS([self._weights], max_iter=STEPS, line_search_fn=search)

        def compute_loss() -> torch.Tensor:
            optimizer.zero_grad()
            loss = F.cross_entropy(x @ self._weights[:-1] + self._weights[-1], y)
            loss = loss + DECAY * self._weights[:-1].square().sum()
            loss.backward()
            return loss

        optimizer.step(compute_loss)

    def tell(self, tune: Tune) -> list[str]:
        """Return all styles, the most probable first."""
        x = torch.tensor((self._describe(tune) - self._mean) / self._std, dtype=torch.float32)
        with torch.no_grad():
            scores = x @ self._weights[:-1] + self._weights[-1]
        return [STYLES[place] for place in scores.argsort(descending=True).tolist()]

    def accuracy(self, tunes: Sequence[Tune]) -> float:
        """Return the accuracy on those of ``tunes`` that have a style."""
        right = [self.tell(tune)[0] == tune.style for tune in tunes if tune.style in STYLES]
        return float(np.mean(right))

    def _describe(self, tune: Tune) -> np.ndarray:
        """Return the features of a piece, (F,)."""
        melody, notes = tune.melody, all_notes(tune)
        melody = melody if len(melody) > 1 else np.repeat(melody, 2, axis=0)
        lengths = np.diff(melody[:, 0])
        steps = np.diff(melody[:, 2]).clip(-LARGEST_LEAP, LARGEST_LEAP)
        rhythms = np.zeros(RHYTHMS)
        found = _rhythms(tune)
        for rhythm in found:
            place = self._rhythms.get((tune.meter, rhythm))
            if place is not None:
                rhythms[place] += 1 / len(found)
        dotted = (lengths[1:] * 3 == lengths[:-1]).mean() if len(lengths) > 1 else 0
        snapped = (lengths[:-1] * 3 == lengths[1:]).mean() if len(lengths) > 1 else 0
        parts = len(notes) / max(1, len(melody))
        return np.concatenate(
            [
                [tune.meter == meter for meter in METERS],
                [(lengths == length).mean() for length in LENGTHS],
                [(steps == step).mean() for step in range(-LARGEST_LEAP, LARGEST_LEAP + 1)],
                [lengths.mean() / TICKS, lengths.std() / TICKS, dotted, snapped, parts, parts > 2],
                [np.ptp(melody[:, 2]), melody[:, 2].mean(), float(len(tune.voice) > 0)],
                np.sqrt(rhythms),
            ]
        )


def _rhythms(tune: Tune) -> list[tuple[int, ...]]:
    """Return the onsets in each bar of the melody."""
    return [tuple(note[0] for note in bar) for bar in list_bars(tune, melody=True)]
