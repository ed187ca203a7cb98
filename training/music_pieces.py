"""A piece of training data, and functions that its readers share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from symusic import Score

TICKS = 24  # per quarter note: fits both triplets and thirty-seconds

# How well each pitch class, from the key note up, fits a key: Krumhansl and Kessler 1982, "Tracing
# the dynamic changes in perceived tonal organization", Psychological Review 89.
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


class Unsuitable(Exception):
    """Raised with the reason why a piece is left out."""


def _no_notes() -> np.ndarray:
    return np.empty((0, 3), np.int32)


@dataclass(frozen=True)
class Tune:
    """One piece, transposed to C.

    Attributes:
        title: As printed.
        style: One of ``shared.tunes.controls.STYLES``, or ``ANY`` if unknown.
        mode: One of ``shared.tunes.controls.MODES``.
        meter: One of ``shared.tunes.controls.METERS``.
        notes: Rows of onset, duration (in ``TICKS`` per quarter) and MIDI pitch, shape (N, 3). In
            a song, the piano part.
        voice: The same for the voice of a song; empty in other pieces.
        tempo: Quarter notes per minute, 0 if unknown.
        group: Name of a group such as a song cycle, which is not split; empty if there is none.
    """

    title: str
    style: str
    mode: str
    meter: str
    notes: np.ndarray
    voice: np.ndarray = field(default_factory=_no_notes)
    tempo: int = 0
    group: str = ""

    @property
    def melody(self) -> np.ndarray:
        """The notes of the voice, or the highest notes if there is none, shape (M, 3)."""
        notes = self.voice if len(self.voice) else self.notes
        ordered = notes[np.lexsort((-notes[:, 2], notes[:, 0]))]
        return ordered[np.flatnonzero(np.diff(ordered[:, 0], prepend=-1))]


def bar_ticks(meter: str) -> int:
    """Return the length of a bar in ticks."""
    beats, unit = map(int, meter.split("/"))
    return TICKS * 4 * beats // unit


def join_ties(rows: Iterable[tuple[int, int, int, bool]]) -> np.ndarray:
    """Return notes (N, 3) in order of onset, with tied notes joined.

    Args:
        rows: Onset, duration, pitch, and whether the note is tied to the one before it.
    """
    notes: list[list[int]] = []
    last: dict[int, list[int]] = {}
    for onset, duration, pitch, tied in sorted(rows):
        before = last.get(pitch)
        if tied and before is not None and before[0] + before[1] == onset:
            before[1] += duration
            continue
        last[pitch] = [onset, duration, pitch]
        notes.append(last[pitch])
    return np.array(notes, np.int32).reshape(-1, 3)


def fit_keys(notes: np.ndarray) -> np.ndarray:
    """Return how well ``notes`` (N, 3) fit each key, (2, 12): major and minor on each pitch class.

    The fit is the correlation, -1 to 1, of each pitch class's sounding time with Krumhansl's
    profiles.
    """
    sounding = np.bincount(notes[:, 2] % 12, weights=notes[:, 1], minlength=12)
    if not sounding.std():
        return np.zeros((2, 12))
    profiles = [[np.roll(profile, tonic) for tonic in range(12)] for profile in (_MAJOR, _MINOR)]
    return np.array([[np.corrcoef(sounding, profile)[0, 1] for profile in row] for row in profiles])


def tell_mode(notes: np.ndarray, major: int) -> tuple[int, str]:
    """Choose between a major key and its relative minor by the last bass note, else by the fit.

    Args:
        notes: (N, 3).
        major: Key note of the major key, 0 to 11.

    Returns:
        The key note and the mode.
    """
    minor = (major - 3) % 12
    last = notes[notes[:, 0] + notes[:, 1] >= (notes[:, 0] + notes[:, 1]).max() - TICKS // 2]
    bass = int(last[:, 2].min()) % 12
    if bass not in (major, minor):
        fit = fit_keys(notes)
        bass = major if fit[0, major] >= fit[1, minor] else minor
    return bass, "Major" if bass == major else "Minor"


def tune_to_score(tune: Tune) -> Score:
    """Turn ``tune`` into a score with one track "melody", or with two, "voice" and "piano"."""
    from symusic import Note, Score, TimeSignature, Track

    score = Score(TICKS)
    score.time_signatures.append(TimeSignature(0, *map(int, tune.meter.split("/"))))
    parts = [("voice", tune.voice), ("piano", tune.notes)]
    for name, notes in parts if len(tune.voice) else [("melody", tune.notes)]:
        track = Track(name=name)
        track.notes.extend(Note(int(on), int(length), int(p), 84) for on, length, p in notes)
        score.tracks.append(track)
    return score
