"""Reading a visitor's MIDI file: whatever it holds, there comes a melody in C, or a message."""

from __future__ import annotations

import bisect
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shared.errors import InvalidRequest
from shared.tunes.controls import FASTEST, METERS, SLOWEST
from shared.tunes.measures import BarNote, Measure

if TYPE_CHECKING:
    from mido import MidiFile

MOST_BYTES = 1_000_000
MOST_NOTES = 20_000
MOST_BARS = 128
DRUMS = 9  # the channel that General MIDI keeps for them
USUAL_PITCH = 72  # around which the model's melodies lie
LOWEST, HIGHEST = 48, 96
# Meters that the model has not learnt, by the one that counts the same beats.
_ALIKE = {"2/2": "4/4", "4/8": "2/4", "3/8": "6/8", "12/8": "6/8", "3/2": "3/4", "8/8": "4/4"}
# Moments of a quarter that a note is moved to: sixteenths and triplets.
_GRID = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1.0)
# How well each pitch class fits a key, the tonic first (Krumhansl and Kessler 1982,
# doi:10.1037/0033-295X.89.4.334).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Melody:
    """What was found in a MIDI file.

    Attributes:
        measures: The highest line, on the grid, moved to C.
        tonic: Pitch class of the key note that it had, 0 to 11.
        mode: Major or Minor.
        tempo: Quarters a minute.
        notes: What a visitor should know, in sentences.
    """

    measures: tuple[Measure, ...]
    tonic: int
    mode: str
    tempo: int
    notes: tuple[str, ...] = ()


def read_midi(path: Path) -> Melody:
    """Read the melody of a MIDI file: the highest line of all that is no drum.

    Raises:
        InvalidRequest: The file is no MIDI file, damaged, empty, too large, or has only drums.
    """
    midi = _open(path)
    played, drums = _read_notes(midi)
    if not played:
        raise InvalidRequest(
            "This MIDI file holds only drums, and a melody has to begin somewhere: choose a file "
            "with a tune in it."
            if drums
            else "This MIDI file holds no notes. Choose one with a tune in it."
        )
    if len(played) + drums > MOST_NOTES:
        raise InvalidRequest(
            f"This MIDI file has {len(played) + drums:,} notes, more than the {MOST_NOTES:,} that "
            "can be read. Choose a shorter piece."
        )
    line = find_melody(played)
    told = []
    meter, found = _read_meter(midi)
    if meter != found:
        told.append(f"Its meter, {found}, is counted as {meter}.")
    tonic, mode = find_key(line)
    measures = _split(_move(line, tonic), meter)
    if len(measures) > MOST_BARS:
        told.append(f"It has {len(measures)} bars; the first {MOST_BARS} were taken.")
    tempo = min(max(_read_tempo(midi), SLOWEST), FASTEST)
    return Melody(tuple(measures[:MOST_BARS]), tonic, mode, tempo, tuple(told))


def _open(path: Path) -> MidiFile:
    # symusic, which reads faster, takes the whole process down over some damaged files.
    from mido import MidiFile

    size = path.stat().st_size
    if size > MOST_BYTES:
        raise InvalidRequest(
            f"This file is too large: {size / 1e6:.1f} MB. A MIDI file of a tune has a few "
            f"kilobytes; at most {MOST_BYTES / 1e6:.0f} MB can be read."
        )
    data = path.read_bytes()
    if not data:
        raise InvalidRequest("This file is empty. Choose a MIDI file (.mid).")
    if data[:4] != b"MThd":
        raise InvalidRequest("This is no MIDI file. Choose one that ends in .mid.")
    try:
        midi = MidiFile(file=io.BytesIO(data), clip=True)
        if midi.ticks_per_beat <= 0:
            raise ValueError("time in seconds, not in beats")
    except Exception as error:
        raise InvalidRequest(
            "This MIDI file is damaged and cannot be read. Save it once more with the program that "
            "made it, or choose another."
        ) from error
    return midi


def _read_notes(midi: MidiFile) -> tuple[list[tuple[float, float, int]], int]:
    """Return start, duration (quarters) and pitch of all notes, and how many are of drums."""
    notes, drums = [], 0
    for track in midi.tracks:
        time = 0
        sounding: dict[tuple[int, int], int] = {}
        for message in track:
            time += message.time
            if message.type not in ("note_on", "note_off"):
                continue
            key = message.channel, message.note
            begun = sounding.pop(key, None)
            if begun is not None and time > begun:
                start, duration = begun / midi.ticks_per_beat, (time - begun) / midi.ticks_per_beat
                notes.append((start, duration, message.note))
            if message.type == "note_on" and message.velocity:
                drums += message.channel == DRUMS
                if message.channel != DRUMS:
                    sounding[key] = time
    return notes, drums


def _read_tempo(midi: MidiFile) -> int:
    """Return the first tempo, in quarters a minute."""
    told = (m.tempo for track in midi.tracks for m in track if m.type == "set_tempo")
    return round(60e6 / max(next(told, 500_000), 1))


def find_melody(notes: Iterable[tuple[float, float, int]]) -> list[BarNote]:
    """Return the highest line of ``notes`` (start, duration, pitch), on the grid, one at a time.

    A lower note that begins under a higher one which sounds on is accompaniment.
    """
    line: list[BarNote] = []
    moved = [(_snap(start), duration, pitch) for start, duration, pitch in notes]
    for start, duration, pitch in sorted(moved, key=lambda note: (note[0], -note[2])):
        end = start + max(0.25, _snap(duration))
        if line:
            last = line[-1]
            if start == last.start:
                continue
            if last.start + last.duration > start:
                if pitch < last.pitch and last.start + last.duration >= start + 0.25:
                    continue
                line[-1] = BarNote(last.start, start - last.start, last.pitch)
        line.append(BarNote(start, end - start, pitch))
    return line


def _snap(quarters: float) -> float:
    whole = int(quarters)
    return whole + min(_GRID, key=lambda place: abs(quarters - whole - place))


def find_key(notes: Sequence[BarNote]) -> tuple[int, str]:
    """Return tonic (pitch class) and mode, Major or Minor, that fit ``notes`` best."""
    import numpy as np

    weights = np.zeros(12)
    for note in notes:
        weights[note.pitch % 12] += note.duration
    if not weights.std():
        return int(weights.argmax()), "Major"
    fits = {
        (tonic, mode): float(np.corrcoef(np.roll(weights, -tonic), profile)[0, 1])
        for tonic in range(12)
        for mode, profile in (("Major", _MAJOR), ("Minor", _MINOR))
    }
    return max(fits, key=lambda key: fits[key])


def _read_meter(midi: MidiFile) -> tuple[str, str]:
    """Return the meter to count in and the one that the file has."""
    told = (m for track in midi.tracks for m in track if m.type == "time_signature")
    first = next(told, None)
    found = f"{first.numerator}/{first.denominator}" if first else "4/4"
    return found if found in METERS else _ALIKE.get(found, "4/4"), found


def _move(notes: Sequence[BarNote], tonic: int) -> list[BarNote]:
    """Move ``notes`` from their key to C, into the octave that the model writes in."""
    mean = sum(note.pitch for note in notes) / len(notes) - tonic
    shift = 12 * round((USUAL_PITCH - mean) / 12) - tonic
    return [BarNote(note.start, note.duration, _into_range(note.pitch + shift)) for note in notes]


def _into_range(pitch: int) -> int:
    while pitch > HIGHEST:
        pitch -= 12
    while pitch < LOWEST:
        pitch += 12
    return pitch


def _split(notes: Sequence[BarNote], meter: str) -> list[Measure]:
    """Cut a line into bars, from that of its first note on; a note is in the bar it begins in."""
    quarters = Measure(meter).quarters
    first, last = int(notes[0].start // quarters), int(notes[-1].start // quarters)
    last = min(last, first + 4 * MOST_BARS)
    starts = [note.start for note in notes]
    measures = []
    for number in range(first, last + 1):
        begin = number * quarters
        inside = notes[
            bisect.bisect_left(starts, begin) : bisect.bisect_left(starts, begin + quarters)
        ]
        measures.append(
            Measure(
                meter,
                tuple(
                    BarNote(note.start - begin, min(note.duration, 2 * quarters), note.pitch)
                    for note in inside
                ),
            )
        )
    return measures
