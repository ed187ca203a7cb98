"""Bars of notes, the common form of tokens, text and MIDI files before they are played."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from shared.errors import InvalidRequest
from shared.tunes.controls import METERS, TuneControls
from shared.tunes.tokens import (
    CHOIR,
    MELODY,
    PIANO,
    POSITIONS_PER_BEAT,
    VOICE,
    ids_to_score,
    meter_of,
    score_to_ids,
)

if TYPE_CHECKING:
    from miditok import MusicTokenizer

PARTS = (VOICE, PIANO, CHOIR)  # parts that a model may write instead of a melody
TICKS = 2 * POSITIONS_PER_BEAT  # per quarter note; the beat may be an eighth
_NOTE = re.compile(r"([\d/]{1,9}):(\d{1,3}):([\d/]{1,9})(?::(voice|piano|choir))?")


@dataclass(frozen=True)
class BarNote:
    """A note in its bar: start and duration in quarters, MIDI pitch, and the name of its part."""

    start: float
    duration: float
    pitch: int
    part: str = MELODY


@dataclass(frozen=True)
class Measure:
    """A bar of music: its meter, such as ``6/8``, and its notes in order of their start."""

    meter: str
    notes: tuple[BarNote, ...] = ()

    @property
    def quarters(self) -> float:
        """Its length in quarter notes."""
        beats, unit = map(int, self.meter.split("/"))
        return 4 * beats / unit

    @property
    def is_upbeat(self) -> bool:
        """Whether at least the first half is rest."""
        return not self.notes or self.notes[0].start >= self.quarters / 2

    @property
    def is_melody(self) -> bool:
        """Whether there is a single part with one note at a time."""
        starts = {note.start for note in self.notes}
        return len(starts) == len(self.notes) and all(note.part == MELODY for note in self.notes)


def ids_to_measure(
    tokenizer: MusicTokenizer, ids: Sequence[int], style: str | None = None
) -> Measure:
    """Return the notes of one bar of tokens, bar line first, of a tune in ``style``."""
    score = ids_to_score(tokenizer, ids, TuneControls(style=style, tonic=0))
    quarter = score.ticks_per_quarter
    notes = [
        BarNote(
            note.time / quarter,
            note.duration / quarter,
            note.pitch,
            track.name if track.name in PARTS else MELODY,
        )
        for track in score.tracks
        for note in track.notes
    ]
    notes.sort(key=lambda note: (note.start, note.pitch))
    return Measure(meter_of(tokenizer, ids), tuple(notes))


def measures_to_ids(tokenizer: MusicTokenizer, measures: Sequence[Measure]) -> list[list[int]]:
    """Return the tokens of each bar, from its bar line on."""
    from symusic import Note, Score, TimeSignature, Track

    score = Score(TICKS)
    tracks: dict[str, Track] = {}
    begin, meter = 0.0, ""
    for measure in measures:
        if measure.meter != meter:
            meter = measure.meter
            beats, unit = map(int, meter.split("/"))
            score.time_signatures.append(TimeSignature(round(begin * TICKS), beats, unit))
        for note in measure.notes:
            track = tracks.setdefault(note.part, Track(name=note.part))
            start, length = round((begin + note.start) * TICKS), round(note.duration * TICKS)
            track.notes.append(Note(start, max(1, length), note.pitch, 84))
        begin += measure.quarters
    for track in tracks.values():
        score.tracks.append(track)
    line = tokenizer["Bar_None"]
    bars: list[list[int]] = []
    for id_ in score_to_ids(tokenizer, score) if tracks else []:
        if id_ == line:
            bars.append([])
        bars[-1].append(id_)
    # Bars of rest at the end have no tokens.
    rests = [[line, tokenizer[f"TimeSig_{measure.meter}"]] for measure in measures[len(bars) :]]
    return bars + rests


def write_measures(measures: Iterable[Measure]) -> str:
    """Write bars as text, one per line: ``6/8 0:67:1/2`` is meter, then start:pitch:duration."""
    return "\n".join(
        " ".join([measure.meter, *(_write_note(note) for note in measure.notes)])
        for measure in measures
    )


def read_measures(text: str) -> tuple[Measure, ...]:
    """Read what ``write_measures`` wrote. Raises InvalidRequest on anything else."""
    return tuple(_read_measure(line) for line in text.splitlines() if line.strip())


def _write_note(note: BarNote) -> str:
    start, duration = (Fraction(x).limit_denominator(TICKS) for x in (note.start, note.duration))
    return f"{start}:{note.pitch}:{duration}" + (f":{note.part}" if note.part != MELODY else "")


def _read_measure(line: str) -> Measure:
    meter, *words = line.split()
    notes = []
    try:
        if meter not in METERS:
            raise ValueError
        for word in words:
            if not (found := _NOTE.fullmatch(word)):
                raise ValueError
            start, pitch, duration, part = found.groups()
            length = float(Fraction(duration))
            if not (int(pitch) < 128 and 0 < length <= 64 and Fraction(start) < 16):
                raise ValueError
            notes.append(BarNote(float(Fraction(start)), length, int(pitch), part or MELODY))
    except (ValueError, ZeroDivisionError):
        raise InvalidRequest(
            f"The bar {line[:40]!r} cannot be read. A bar is its meter and its notes, such as "
            "6/8 0:67:1/2 1/2:69:1 with start and duration in quarters and a MIDI pitch."
        ) from None
    return Measure(meter, tuple(notes))
