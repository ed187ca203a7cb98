"""Turns bars into notes in seconds: in a key, at a tempo, for instruments, with chords.

The same bars can be arranged again in another way without composing anything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.tunes.chords import CHORD, PlacedChord, accompany, choose_chords
from shared.tunes.controls import INSTRUMENTS, TuneControls
from shared.tunes.measures import BarNote, Measure
from shared.tunes.sound import HIGHEST, VOLUME, PlayedNote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from symusic import Score

TICKS = 480  # per quarter note, in the scores that are made here
STRONG, WEAK = 100, 84  # MIDI velocities of the melody, on the first beat and elsewhere
BASS_VELOCITY, CHORD_VELOCITY = 80, 64
ACCOMPANIMENT_VOLUME = 84  # MIDI volume, 0 to 127; the melody has 100
_SAME = 1e-6  # seconds; times closer than this are equal
HARMONIZED = {"Chorale", "Lied"}  # styles whose chords the model writes
ACCOMPANYING = {"chords", "piano"}  # parts that the second instrument plays


@dataclass(frozen=True)
class Part:
    """What one instrument plays; ``name`` is melody, chords, voice, piano or choir."""

    name: str
    instrument: str


@dataclass(frozen=True)
class Arrangement:
    """Notes and chords of a piece in seconds. Time 0 is the first note.

    Attributes:
        parts: ``PlayedNote.track`` is an index into it.
        notes: Sorted by start.
        bar_starts: Start of each bar in seconds; negative for an upbeat.
        seconds: Time at which the last bar ends; the last notes may sound longer.
        chords: Time in seconds and name of each chord change.
        tempo: Quarter notes per minute.
        meters: Time in seconds and meter of each meter change; the first is the first bar.
    """

    parts: tuple[Part, ...]
    notes: tuple[PlayedNote, ...]
    bar_starts: tuple[float, ...]
    seconds: float
    chords: tuple[tuple[float, str], ...]
    tempo: int
    meters: tuple[tuple[float, str], ...]

    def between(self, start: float, end: float) -> list[PlayedNote]:
        """Return the notes with ``start`` <= note start < ``end``, in seconds."""
        return [note for note in self.notes if start - _SAME <= note.start < end - _SAME]


def arrange(
    bars: Sequence[Measure], controls: TuneControls, *, is_complete: bool = True
) -> Arrangement:
    """Arrange ``bars``, which are in C, in the key, tempo and instruments of ``controls``.

    The notes of a bar never depend on later bars, so bars can be played while others are composed.
    The only exception is the last bar of a complete tune, which gets a closing chord. A tune may
    begin with an upbeat, a bar that is mostly rest. Time 0 is the first note, so that playback
    starts without a pause. A loop drops the upbeat and gets no closing chord. Notes that are too
    high for the instruments are moved down by octaves.
    """
    if controls.loop:
        bars = bars[1:] if len(bars) > 1 and bars[0].is_upbeat else bars
        is_complete = False
    chords: list[tuple[PlacedChord, ...]] = [() for _ in bars]
    played: list[tuple[BarNote, ...]] = [() for _ in bars]
    if controls.accompaniment and controls.style not in HARMONIZED:
        chords = choose_chords(bars, controls.mode, is_complete=is_complete)
        played = accompany(bars, chords, controls, is_complete=is_complete)
    quarter = 60 / controls.tempo
    starts = [0.0]
    for bar in bars:
        starts.append(starts[-1] + bar.quarters)
    first = min((note.start for bar in bars[:1] for note in bar.notes), default=0.0)
    first = 0.0 if controls.loop else first
    parts = _parts([*(bar.notes for bar in bars), *played], controls)
    numbers = {part.name: number for number, part in enumerate(parts)}
    up = controls.transposition
    notes = [
        PlayedNote(
            start=(begin + note.start - first) * quarter,
            duration=note.duration * quarter,
            pitch=_fold(note.pitch + up),
            velocity=_velocity(note, note.pitch + up),
            track=numbers[note.part],
        )
        for begin, bar, under in zip(starts, bars, played, strict=False)
        for note in (*bar.notes, *under)
        if note.part in numbers and begin + note.start >= first
    ]
    bar_starts = tuple((begin - first) * quarter for begin in starts)
    return Arrangement(
        parts=parts,
        notes=tuple(sorted(notes, key=lambda note: (note.start, note.track, note.pitch))),
        bar_starts=bar_starts[:-1],
        seconds=bar_starts[-1] if bars else 0.0,
        chords=tuple(_name_chords(bar_starts, chords, controls, quarter)),
        tempo=controls.tempo,
        meters=tuple(
            (bar_starts[number], bar.meter)
            for number, bar in enumerate(bars)
            if not number or bar.meter != bars[number - 1].meter
        ),
    )


def _parts(played: Sequence[Sequence[BarNote]], controls: TuneControls) -> tuple[Part, ...]:
    """List the parts that have an instrument; accompanying parts come last."""
    found = dict.fromkeys(note.part for notes in played for note in notes)
    names = sorted(found, key=lambda name: name in ACCOMPANYING)
    players = {
        name: controls.accompaniment if name in ACCOMPANYING else controls.instrument
        for name in names
    }
    return tuple(Part(name, player) for name, player in players.items() if player)


def _fold(pitch: int) -> int:
    return pitch - 12 * max(0, -(-(pitch - HIGHEST) // 12))


def _velocity(note: BarNote, pitch: int) -> int:
    if note.part == "chords":
        return BASS_VELOCITY if pitch < CHORD else CHORD_VELOCITY
    return STRONG if note.start == 0 else WEAK


def _name_chords(
    bar_starts: Sequence[float],
    chords: Sequence[tuple[PlacedChord, ...]],
    controls: TuneControls,
    quarter: float,
) -> Iterator[tuple[float, str]]:
    last = ""
    for begin, placed in zip(bar_starts, chords, strict=False):
        for one in placed:
            name = one.chord.name(controls.fifths)
            if name != last:
                yield max(0.0, begin + one.start * quarter), name
            last = name


def to_score(
    arrangement: Arrangement, start: float | None = None, end: float = float("inf")
) -> Score:
    """Write the notes that begin between ``start`` and ``end``, in seconds, as a score.

    ``start`` becomes tick 0. Without ``start``, the score begins at the first bar line, so an
    upbeat keeps the rest before it, and the score has the time signatures.
    """
    from symusic import ControlChange, Note, Score, Tempo, TimeSignature, Track

    ticks = TICKS * arrangement.tempo / 60  # per second
    offset = min(arrangement.bar_starts[:1], default=0.0) if start is None else start
    score = Score(TICKS)
    score.tempos.append(Tempo(0, arrangement.tempo))
    for seconds, meter in arrangement.meters if start is None else ():
        beats, unit = map(int, meter.split("/"))
        score.time_signatures.append(TimeSignature(round((seconds - offset) * ticks), beats, unit))
    tracks = [
        Track(name=f"{part.name}: {part.instrument}", program=INSTRUMENTS[part.instrument])
        for part in arrangement.parts
    ]
    for part, track in zip(arrangement.parts, tracks, strict=True):
        if part.name in ACCOMPANYING:
            track.controls.append(ControlChange(0, VOLUME, ACCOMPANIMENT_VOLUME))
    for note in arrangement.between(offset, end):
        tracks[note.track].notes.append(
            Note(
                round((note.start - offset) * ticks),
                max(1, round(note.duration * ticks)),
                note.pitch,
                note.velocity,
            )
        )
    for track in tracks:
        score.tracks.append(track)
    return score
