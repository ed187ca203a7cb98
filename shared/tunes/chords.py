"""Chords for a melody by a fixed rule, and how they are played. No model is involved.

**Which chord.** A segment is half a bar in 4/4, 6/8 and 12/8, otherwise a bar. Every triad of the
mode gets a score for the segment: the share of the melody's sounding time that is in the chord
(notes on the beat count more), minus a penalty for the share that is not. ``_LIKING`` adds a bonus
for common chords, ``_AFTER`` one for common progressions (subdominant to dominant to tonic). Every
fourth bar gets a bonus for ending on the tonic, reached from the dominant. The highest score wins.
In minor, the dominant is major where the melody has the raised leading tone.

A chord depends only on the melody up to the end of its segment, so bars that are composed later
never change what has been played. Only the last bar of a tune is treated as an ending.

All pitches are in C, like everything that the model writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shared.tunes.controls import TuneControls, spell_note
from shared.tunes.measures import BarNote, Measure

ON_BEAT = 1.5  # weight of a note that begins on a beat
MISSED = 0.6  # penalty for notes outside the chord; notes inside it score 1
STAYING = 0.06  # bonus for keeping the chord
CADENCE_BARS = 4
CADENCE, ENDING = 0.2, 0.6


@dataclass(frozen=True)
class Chord:
    """A triad: ``root`` in semitones above C, ``quality`` "", "m" or "dim"."""

    root: int
    quality: str = ""

    @property
    def pitch_classes(self) -> tuple[int, int, int]:
        """Root, third and fifth, 0 to 11."""
        third = 4 if self.quality == "" else 3
        fifth = 6 if self.quality == "dim" else 7
        return self.root, (self.root + third) % 12, (self.root + fifth) % 12

    def name(self, fifths: int = 0) -> str:
        """Return the name, such as ``Em``, in the key that is ``fifths`` fifths above C."""
        return spell_note(fifths + (7 * self.root + 4) % 12 - 4) + self.quality


@dataclass(frozen=True)
class PlacedChord:
    """A chord in its bar, ``start`` and ``duration`` in quarters."""

    start: float
    duration: float
    chord: Chord


_I, _II, _III, _IV, _V = Chord(0), Chord(2, "m"), Chord(4, "m"), Chord(5), Chord(7)
_VI, _I_MINOR, _IV_MINOR, _V_MINOR = Chord(9, "m"), Chord(0, "m"), Chord(5, "m"), Chord(7, "m")
_FLAT_III, _FLAT_VI, _FLAT_VII = Chord(3), Chord(8), Chord(10)

_LIKING: dict[str, dict[Chord, float]] = {
    "Major": {_I: 0.15, _V: 0.1, _IV: 0.08, _II: 0.0, _VI: 0.0, _III: -0.15},
    "Minor": {
        _I_MINOR: 0.15, _V: 0.05, _FLAT_VII: 0.04, _IV_MINOR: 0.04, _FLAT_VI: 0.0,
        _FLAT_III: 0.02, _V_MINOR: -0.05,
    },
    "Dorian": {
        _I_MINOR: 0.15, _FLAT_VII: 0.1, _IV: 0.08, _V_MINOR: 0.0, _FLAT_III: 0.0, _II: -0.1,
    },
    "Mixolydian": {_I: 0.15, _FLAT_VII: 0.1, _IV: 0.06, _V_MINOR: 0.0, _II: -0.05, _VI: -0.05},
}  # fmt: skip
# Scale degree by the chord's root in C.
_DEGREES = {0: 1, 2: 2, 3: 3, 4: 3, 5: 4, 7: 5, 8: 6, 9: 6, 10: 7}
_AFTER = {
    (2, 5): 0.2, (4, 5): 0.12, (4, 1): 0.1, (5, 1): 0.25, (7, 1): 0.15, (5, 6): 0.05, (6, 2): 0.1,
    (6, 4): 0.08, (1, 4): 0.05, (1, 5): 0.05, (3, 6): 0.08, (5, 4): -0.15, (5, 2): -0.25,
    (2, 1): -0.1, (7, 4): -0.05,
}  # fmt: skip
_SCALES = {
    "Major": {0, 2, 4, 5, 7, 9, 11},
    "Minor": {0, 2, 3, 5, 7, 8, 10, 11},
    "Dorian": {0, 2, 3, 5, 7, 9, 10},
    "Mixolydian": {0, 2, 4, 5, 7, 9, 10},
}


def choose_chords(
    bars: Sequence[Measure], mode: str | None, *, is_complete: bool = True
) -> list[tuple[PlacedChord, ...]]:
    """Choose the chords of every bar; see the module docstring.

    Args:
        bars: A melody in C. The rests of an upbeat get no chord.
        mode: Mode of the tune; None estimates it from the melody so far.
        is_complete: Whether the last bar ends the tune.
    """
    heard = [0.0] * 12
    before: Chord | None = None
    chosen = []
    upbeat = bars[0].is_upbeat if bars else False
    for number, bar in enumerate(bars):
        placed = []
        counted = number + 1 - upbeat  # the first full bar is 1
        closes = counted > 0 and counted % CADENCE_BARS == 0
        ends = is_complete and number == len(bars) - 1
        segments = split_bar(bar.meter)
        for place, (start, duration) in enumerate(segments):
            weights = _weigh(bar, start, start + duration)
            heard = [old + new for old, new in zip(heard, weights, strict=True)]
            if number == 0 and upbeat:
                continue
            wish: dict[int, float] = {}  # degree to bonus
            if closes or ends:
                last = place == len(segments) - 1
                wish = {1: ENDING if ends else CADENCE} if last else {5: CADENCE}
            before = _choose(weights, mode or find_mode(heard), heard, before, wish)
            placed.append(PlacedChord(start, duration, before))
        chosen.append(tuple(placed))
    return chosen


def split_bar(meter: str) -> list[tuple[float, float]]:
    """Return start and duration, in quarters, of the segments of a bar; each gets one chord."""
    beats, unit = map(int, meter.split("/"))
    quarters = 4 * beats / unit
    if meter in ("4/4", "6/8", "12/8"):
        return [(0.0, quarters / 2), (quarters / 2, quarters / 2)]
    return [(0.0, quarters)]


def find_mode(heard: Sequence[float]) -> str:
    """Return the mode whose scale covers most of ``heard``; the first in ``_SCALES`` on a tie.

    Args:
        heard: Sounding time of each of the 12 pitch classes, the tonic first.
    """
    return max(_SCALES, key=lambda mode: sum(heard[pitch] for pitch in _SCALES[mode]))


def hear_mode(bars: Sequence[Measure]) -> str:
    """Return the mode of a whole melody in C, as ``find_mode`` does."""
    weights = (_weigh(bar, 0.0, bar.quarters) for bar in bars)
    return find_mode([sum(heard) for heard in zip([0.0] * 12, *weights, strict=True)])


def _weigh(bar: Measure, start: float, end: float) -> list[float]:
    """Return how long each pitch class sounds from ``start`` to ``end``, on-beat notes weighted."""
    beat = 1.5 if bar.meter.endswith("/8") else 1.0
    weights = [0.0] * 12
    for note in bar.notes:
        inside = min(note.start + note.duration, end) - max(note.start, start)
        if inside > 0:
            accent = ON_BEAT if note.start % beat == 0 and note.start >= start else 1.0
            weights[note.pitch % 12] += accent * inside
    return weights


def _choose(
    weights: Sequence[float],
    mode: str,
    heard: Sequence[float],
    before: Chord | None,
    wish: dict[int, float],
) -> Chord:
    total = sum(weights)
    if not total and before:
        return before

    def score(chord: Chord) -> float:
        degree = _DEGREES[chord.root]
        covered = sum(weights[pitch] for pitch in chord.pitch_classes) / total if total else 0.0
        value = covered - MISSED * (1 - covered) + _LIKING[mode][chord] + wish.get(degree, 0.0)
        if mode == "Minor" and degree == 5:
            # The leading tone, in this segment or so far, makes the dominant major.
            raised = weights[11] or (not weights[10] and heard[11] >= heard[10])
            value += 0.1 if (chord == _V) == bool(raised) else -0.4
        if chord == before:
            value += STAYING
        elif before:
            value += _AFTER.get((_DEGREES[before.root], degree), 0.0)
        return value

    return max(_LIKING[mode], key=score)


# Accompaniment pattern of a bar: (start, duration) in quarters, and what is played. "fifth" is a
# bass note: the chord's fifth if the chord's root was played before in this bar, else the root.
_Strokes = tuple[tuple[float, float, str], ...]


@lru_cache(64)
def _strokes(meter: str, style: str | None) -> _Strokes:
    beats, unit = map(int, meter.split("/"))
    if unit == 8:  # jigs: bass on the beat, chord on the last eighth of it
        strokes = []
        for beat in range(max(1, beats // 3)):
            strokes += [(1.5 * beat, 0.5, "bass"), (1.5 * beat + 1, 0.4, "chord")]
        return tuple(strokes)
    if meter == "3/4":
        return (0.0, 0.9, "bass"), (1.0, 0.7, "chord"), (2.0, 0.7, "chord")
    if style in ("Air", None) and beats == 4:  # broken chords, as on a harp
        tones = ("bass", "middle", "low", "middle", "bass", "middle", "low", "middle")
        return tuple((0.5 * place, 1.0, tone) for place, tone in enumerate(tones))
    if beats == 2:  # 2/4: bass on the beat, chord on the off-beat
        return (0.0, 0.5, "bass"), (0.5, 0.4, "chord"), (1.0, 0.5, "fifth"), (1.5, 0.4, "chord")
    return tuple(
        (float(beat), 0.8, ("bass" if beat == 0 else "fifth") if beat % 2 == 0 else "chord")
        for beat in range(beats)
    )


BASS, BASS_TOP = 38, 50  # MIDI pitches: the octave of the bass notes
CHORD, CHORD_TOP = 52, 64


def accompany(
    bars: Sequence[Measure],
    chords: Sequence[tuple[PlacedChord, ...]],
    controls: TuneControls,
    *,
    is_complete: bool = True,
) -> list[tuple[BarNote, ...]]:
    """Play ``chords`` under every bar: bass and off-beat chords, or broken chords for an air.

    A bar with several parts, as in a chorale, gets no accompaniment. The last bar of a complete
    tune gets held chords.

    Args:
        bars: The melody in C.
        chords: What ``choose_chords`` returned.
        controls: The style selects the pattern; the key is needed to stay in the same register.
        is_complete: Whether the last bar ends the tune.
    """
    played: list[tuple[BarNote, ...]] = []
    for number, (bar, placed) in enumerate(zip(bars, chords, strict=True)):
        if not placed or not bar.is_melody:
            played.append(())
            continue
        ends = is_complete and number == len(bars) - 1
        strokes = _hold(placed) if ends else _strokes(bar.meter, controls.style)
        played.append(tuple(_play(strokes, placed, controls.transposition)))
    return played


def _hold(placed: Sequence[PlacedChord]) -> _Strokes:
    """Play every chord of a bar once, held until the next different chord."""
    starts = [
        one.start
        for number, one in enumerate(placed)
        if not number or one.chord != placed[number - 1].chord
    ]
    end = placed[-1].start + placed[-1].duration
    lengths = [after - start for start, after in zip(starts, [*starts[1:], end], strict=True)]
    return tuple(
        (start, length, tone)
        for start, length in zip(starts, lengths, strict=True)
        for tone in ("bass", "chord")
    )


def _play(
    strokes: _Strokes, placed: Sequence[PlacedChord], transposition: int
) -> Iterator[BarNote]:
    struck: Chord | None = None
    for start, duration, tone in strokes:
        chord = next((one.chord for one in reversed(placed) if one.start <= start), placed[0].chord)
        root, third, fifth = ((pc + transposition) % 12 for pc in chord.pitch_classes)
        inner = sorted(CHORD + (pc - CHORD) % 12 for pc in (root, third, fifth))
        match tone:
            case "bass":
                pitches = [BASS + (root - BASS) % 12]
            case "fifth":
                bass = fifth if chord == struck else root
                pitches = [BASS + (bass - BASS) % 12]
            case "low":
                pitches = inner[:1]
            case "middle":
                pitches = inner[1:2]
            case _:
                pitches = inner
        if tone in ("bass", "fifth"):
            struck = chord
        for pitch in pitches:
            yield BarNote(start, duration, pitch - transposition, "chords")
