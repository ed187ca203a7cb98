"""Metrics for pieces of music: keys, bars, repetition, histograms and copies.

A piece is a ``Tune`` in C. The same functions measure real and generated pieces.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from shared.tunes.tokens import PIANO, VOICE, scoring_of
from training.music_pieces import TICKS, Tune, bar_ticks, fit_keys

SCALES = {
    "Major": (0, 2, 4, 5, 7, 9, 11),
    "Minor": (0, 2, 3, 5, 7, 8, 10, 11),  # natural and harmonic
    "Dorian": (0, 2, 3, 5, 7, 9, 10),
    "Mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
LIKE_MAJOR = ("Major", "Mixolydian")
LAGS = range(1, 17)  # bars
SLOT = TICKS // 2  # an eighth, the resolution of self-similarity
LARGEST_LEAP = 12
PASSAGE, COMMON = 3, 3  # bars of a passage; pieces that make it common stock

Bar = tuple[tuple[int, ...], ...]  # notes: onset in the bar, duration, pitch, part


def score_to_tune(score: Any, *, style: str, mode: str, meter: str) -> Tune:
    """Turn a score that a model wrote, in C, into a ``Tune``."""
    notes: dict[str, np.ndarray] = {}
    for track in score.resample(TICKS).tracks:
        rows = [(note.time, note.duration, note.pitch) for note in track.notes]
        notes[track.name] = np.array(sorted(rows), np.int32).reshape(-1, 3)
    empty = np.empty((0, 3), np.int32)
    voice = notes.pop(VOICE, empty)
    played = notes.get(PIANO, next(iter(notes.values()), empty))
    return Tune("", style, mode, meter, played, voice)


def cut(tune: Tune, bars: int) -> Tune:
    """Return the first ``bars`` bars of a piece."""
    end = bars * bar_ticks(tune.meter)
    kept = {name: getattr(tune, name) for name in ("notes", "voice")}
    return replace(tune, **{name: rows[rows[:, 0] < end] for name, rows in kept.items()})


def all_notes(tune: Tune) -> np.ndarray:
    """Return the notes of all parts, (N, 3), in order of onset."""
    notes = np.concatenate([tune.notes, tune.voice])
    return notes[np.argsort(notes[:, 0], kind="stable")]


def list_bars(tune: Tune, *, melody: bool = False) -> list[Bar]:
    """Return the bars of a piece; with ``melody`` those of its melody, as pitch classes."""
    size = bar_ticks(tune.meter)
    parts = [tune.melody % [10**9, 10**9, 12]] if melody else [tune.notes, tune.voice]
    count = max(int(part[-1, 0]) for part in parts if len(part)) // size + 1
    bars: list[list[tuple[int, ...]]] = [[] for _ in range(count)]
    for part, notes in enumerate(parts):
        for onset, duration, pitch in notes.tolist():
            bars[onset // size].append((onset % size, duration, pitch, part))
    return [tuple(sorted(bar)) for bar in bars]


def share_in_scale(tune: Tune, mode: str, shift: int = 0) -> float:
    """Return the share of notes in the scale of ``mode`` on the key note ``shift``, 0 (C) to 11."""
    scale = [(step + shift) % 12 for step in SCALES[mode]]
    return float(np.isin(all_notes(tune)[:, 2] % 12, scale).mean())


def has_key(tune: Tune, mode: str) -> bool:
    """Whether C is the key note: by Krumhansl's profile or by the last bass note."""
    notes = all_notes(tune)
    fit = fit_keys(notes)[0 if mode in LIKE_MAJOR else 1]
    ends = notes[notes[:, 0] == notes[-1, 0]]
    return bool(fit.argmax() == 0 or ends[:, 2].min() % 12 == 0)


def has_mode(tune: Tune, mode: str) -> bool:
    """Whether no other mode's scale on C contains more of the notes."""
    shares = {name: share_in_scale(tune, name) for name in SCALES}
    return shares[mode] >= max(shares.values())


def count_bar_errors(tune: Tune) -> int:
    """Count the bars of a melody in which a note begins before the previous one has ended.

    The notes and rests of such a bar add up to more than the bar. Notes that begin together are a
    chord and no error. In pieces with several parts notes may overlap, so their count is 0.
    """
    if scoring_of(tune.style) != "Melody":
        return 0
    onsets, ends = tune.notes[:, 0], tune.notes[:, 0] + tune.notes[:, 1]
    size = bar_ticks(tune.meter)
    wrong = onsets[1:][(ends[:-1] > onsets[1:]) & (onsets[:-1] < onsets[1:])]
    return len(set((wrong // size).tolist()))


def measure_repetition(tune: Tune) -> dict[str, float]:
    """Measure repetition in a melody.

    Returns:
        ``repeated_bars``, the share of bars that equal an earlier one; and for each lag in ``LAGS``
        that is shorter than the piece, ``lag_N``, the self-similarity of bars N apart: the share of
        eighths at which the same pitch class sounds.
    """
    bars = list_bars(tune, melody=True)
    repeated = [bar in bars[:number] for number, bar in enumerate(bars)]
    size = bar_ticks(tune.meter)
    melody = tune.melody
    slots = np.arange(0, len(bars) * size, SLOT)
    sounding = np.searchsorted(melody[:, 0], slots, side="right") - 1
    pitches = np.where(sounding < 0, -1, melody[sounding.clip(0), 2] % 12)
    grid = pitches.reshape(len(bars), -1)
    alike = {
        f"lag_{lag}": float((grid[lag:] == grid[:-lag]).mean()) for lag in LAGS if lag < len(bars)
    }
    return {"repeated_bars": float(np.mean(repeated)), **alike}


def count_intervals(tunes: Iterable[Tune]) -> Counter[int]:
    """Count the intervals of melodies in semitones, clipped to an octave."""
    counts: Counter[int] = Counter()
    for tune in tunes:
        counts.update(np.diff(tune.melody[:, 2]).clip(-LARGEST_LEAP, LARGEST_LEAP).tolist())
    return counts


def count_rhythms(tunes: Iterable[Tune]) -> Counter[int]:
    """Count the ticks from one onset to the next in melodies, clipped to a whole note."""
    counts: Counter[int] = Counter()
    for tune in tunes:
        counts.update(np.diff(tune.melody[:, 0]).clip(0, 4 * TICKS).tolist())
    return counts


def overlap(one: Counter[int], other: Counter[int]) -> float:
    """Return the overlap of two normalized histograms, 0 to 1."""
    totals = one.total(), other.total()
    return sum(min(one[key] / totals[0], other[key] / totals[1]) for key in {*one, *other})


class CopyIndex:
    """Finds bars of training pieces in other pieces, note for note."""

    def __init__(self, pieces: Iterable[Sequence[Bar]]) -> None:
        """Index ``pieces`` without their last bars, which are cadences."""
        self._places: defaultdict[Bar, list[tuple[int, int]]] = defaultdict(list)
        owners: defaultdict[tuple[Bar, ...], set[int]] = defaultdict(set)
        for number, bars in enumerate(pieces):
            for place, bar in enumerate(bars[:-1]):
                self._places[bar].append((number, place))
                owners[tuple(bars[place : place + PASSAGE])].add(number)
        self._common = {passage for passage, who in owners.items() if len(who) >= COMMON}

    def longest(self, bars: Sequence[Bar], *, common: bool = False) -> int:
        """Return the most consecutive bars of ``bars`` that are in one training piece.

        Passages of ``PASSAGE`` bars that are in ``COMMON`` or more pieces count only with
        ``common``.
        """
        longest, before = 0, dict[tuple[int, int], int]()
        for end, bar in enumerate(bars, 1):
            most = end
            if not common and tuple(bars[end - PASSAGE : end]) in self._common:
                most = PASSAGE - 1
            runs = {
                (piece, place): min(before.get((piece, place - 1), 0) + 1, most)
                for piece, place in self._places.get(bar, ())
            }
            longest = max([longest, *runs.values()])
            before = runs
        return longest
