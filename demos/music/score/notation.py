"""Turns an arrangement into staves with bars, voices and signs (notes and rests).

A note that cannot be written as a single sign, or that would hide a beat, is written as several
signs with ties. Times are ticks, ``TICKS`` per quarter: sixteenths and triplets are whole numbers
of ticks.

A staff has at most two voices. A piano has one staff for each hand. The notes of a choir are
assigned to its four voices so that the leaps are small. The accompaniment by a rule (see
``shared.tunes.chords``) is written without the short gaps between its notes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from demos.music.score.signs import (
    EIGHTH,
    FINEST,
    TICKS,
    Bar,
    Chord,
    Head,
    Sign,
    is_compound,
    write_voice,
)
from demos.music.score.voices import choose_clef, lay_out
from shared.tunes.arrangement import Arrangement, Part


@dataclass(frozen=True)
class Staff:
    """A staff.

    Attributes:
        clef: "treble" or "bass".
        voices: For each voice, the upper first, its signs in each bar; () where it is silent.
    """

    clef: str
    voices: tuple[tuple[tuple[Sign, ...], ...], ...]


@dataclass(frozen=True)
class Notation:
    """A piece as sheet music.

    Attributes:
        bars: All bars; the first may be an upbeat.
        parts: Each with its staves, the upper first.
        chords: Bar, ticks from its bar line, and name of each chord.
    """

    bars: tuple[Bar, ...]
    parts: tuple[tuple[Part, tuple[Staff, ...]], ...]
    chords: tuple[tuple[int, int, str], ...]


def notate(music: Arrangement) -> Notation:
    """Return ``music`` as sheet music; empty without bars."""
    if not music.bar_starts:
        return Notation((), (), ())
    origin = music.bar_starts[0]

    def ticks(seconds: float) -> int:
        return round((seconds - origin) * music.tempo / 60 * TICKS)

    lines = [ticks(seconds) for seconds in (*music.bar_starts, music.seconds)]
    changes, meters = zip(*((ticks(start), meter) for start, meter in music.meters), strict=True)
    bars = [
        Bar(meters[bisect_right(changes, start) - 1], end - start) for start, end in pairwise(lines)
    ]
    played = [
        Chord(ticks(n.start), min(ticks(n.start + n.duration), lines[-1]), (Head(n.pitch, i),))
        for i, n in enumerate(music.notes)
    ]
    tracks = [
        [one for one, note in zip(played, music.notes, strict=True) if note.track == track]
        for track in range(len(music.parts))
    ]
    snapped = [
        _snap(_join_strokes(notes) if part.name == "chords" else notes, bars, lines)
        for part, notes in zip(music.parts, tracks, strict=True)
    ]
    first = min((notes[0].start for notes in snapped if notes), default=0)
    if first >= bars[0].ticks / 2 and len(bars) > 1:
        bars[0] = replace(bars[0], begin=first if first % FINEST == 0 else first // 12 * 12)
    chords = []
    for seconds, name in music.chords:
        at = round(ticks(seconds) / EIGHTH) * EIGHTH
        bar = bisect_right(lines[:-1], at) - 1
        chords.append((bar, at - lines[bar], name))
    parts = []
    for part, notes in zip(music.parts, snapped, strict=True):
        staves = lay_out(part, notes)
        clefs = ("treble", "bass") if len(staves) > 1 else (choose_clef(notes),)
        parts.append(
            (
                part,
                tuple(
                    Staff(clef, tuple(write_voice(voice, bars, lines) for voice in voices))
                    for clef, voices in zip(clefs, staves, strict=True)
                ),
            )
        )
    return Notation(tuple(bars), tuple(parts), tuple(chords))


def _join_strokes(notes: Sequence[Chord]) -> list[Chord]:
    """Extend every note to whole eighths, but not beyond the start of the next."""
    starts = sorted({note.start for note in notes})
    after = dict(pairwise(starts))
    return [
        replace(
            note,
            end=min(
                note.start - (note.start - note.end) // EIGHTH * EIGHTH,
                after.get(note.start, note.end + EIGHTH),
            ),
        )
        for note in notes
    ]


def _snap(notes: Sequence[Chord], bars: Sequence[Bar], lines: Sequence[int]) -> list[Chord]:
    """Quantize the starts and ends in each beat to 32nds or to triplets, whichever is nearer."""
    marks = sorted({time for note in notes for time in (note.start, note.end)})
    moved: dict[int, int] = {}
    steps: dict[int, int] = {}

    def cell_of(time: int) -> tuple[int, int]:
        bar = min(bisect_right(lines, time) - 1, len(bars) - 1)
        length = EIGHTH if is_compound(bars[bar].meter) else TICKS
        return lines[bar] + (time - lines[bar]) // length * length, length

    for (begin, _), group in groupby(marks, cell_of):
        times = [time - begin for time in group]
        step = min((FINEST, 4), key=lambda s: sum(abs(t - round(t / s) * s) for t in times))
        for time in times:
            moved[begin + time] = begin + round(time / step) * step
            steps[begin + time] = step
    return [
        replace(note, start=start, end=end)
        for note in notes
        if (start := moved[note.start]) < lines[-1]
        # A very short note still gets the length of one step.
        for end in [max(moved[note.end], start + steps[note.start])]
    ]
