"""Reads a visitor's MIDI file: any file gives a melody in C, or an error message."""

from __future__ import annotations

import bisect
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from shared.errors import InvalidRequest
from shared.tunes.controls import FASTEST, METERS, SLOWEST
from shared.tunes.measures import BarNote, Measure

if TYPE_CHECKING:
    from mido import MidiFile

MOST_BYTES = 1_000_000
MOST_NOTES = 20_000
MOST_BARS = 128
MOST_NAME, MOST_NAMES = 30, 4  # characters of a track's name, and track names in a sentence
DRUMS = 9  # the drum channel of General MIDI, from 0
USUAL_PITCH = 72  # mean pitch of the model's melodies
LOWEST, HIGHEST = 48, 96
# Meters that the model does not know, to a meter with the same beats.
_ALIKE = {"2/2": "4/4", "4/8": "2/4", "3/8": "6/8", "12/8": "6/8", "3/2": "3/4", "8/8": "4/4"}
# Positions within a quarter that notes are quantized to: sixteenths and triplets.
_GRID = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1.0)
# How well each pitch class fits a key, the tonic first (Krumhansl and Kessler 1982,
# doi:10.1037/0033-295X.89.4.334).
_MAJOR = (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88)
_MINOR = (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17)


@dataclass(frozen=True)
class Track:
    """One channel of a track of a MIDI file.

    Attributes:
        name: The name in the file, or a number.
        program: General MIDI program, 0 to 127.
        notes: Start and duration in quarters, and pitch, in the order in which they end.
    """

    name: str
    program: int
    notes: tuple[tuple[float, float, int], ...]


@dataclass(frozen=True)
class Melody:
    """The melody of a MIDI file.

    Attributes:
        measures: The highest line, quantized and transposed to C.
        tonic: Pitch class of the original key note, 0 to 11.
        mode: Major or Minor.
        tempo: Quarter notes per minute.
        program: General MIDI program that plays most of it, 0 to 127.
        notes: Sentences for the visitor on what was changed or left out.
        tracks: All notes of the file except the drums.
        markers: Marker texts of the file.
    """

    measures: tuple[Measure, ...]
    tonic: int
    mode: str
    tempo: int
    program: int
    notes: tuple[str, ...]
    tracks: tuple[Track, ...]
    markers: tuple[str, ...]


def read_midi(data: bytes) -> Melody:
    """Read the melody of a MIDI file: the highest line of all tracks except drums.

    Raises:
        InvalidRequest: It is not a MIDI file, damaged, empty, too large, or has only drums.
    """
    midi = _open(data)
    tracks, drums = _read_tracks(midi)
    played = sum(len(track.notes) for track in tracks)
    if not played:
        raise InvalidRequest(
            "This MIDI file holds only drums, and a melody has to begin somewhere: choose a file "
            "with a tune in it."
            if drums
            else "This MIDI file holds no notes. Choose one with a tune in it."
        )
    if played + drums > MOST_NOTES:
        raise InvalidRequest(
            f"This MIDI file has {played + drums:,} notes, more than the {MOST_NOTES:,} that "
            "can be read. Choose a shorter piece."
        )
    notes = [BarNote(*note, track.name) for track in tracks for note in track.notes]
    line = find_melody(notes)
    remarks = _describe_parts(notes, line, drums)
    meter, found = _read_meters(midi)
    if len(found) > 1:
        remarks.append(f"Its meter changes; all is counted as {meter}.")
    elif meter not in found:
        remarks.append(f"Its meter, {found[0]}, is counted as {meter}.")
    first, *others = _read_tempos(midi)
    tempo = min(max(first, SLOWEST), FASTEST)
    if others:
        remarks.append(f"Its tempo changes; all is played at {tempo} quarter notes a minute.")
    elif tempo != first:
        remarks.append(f"Its tempo, {first} quarter notes a minute, became {tempo}.")
    tonic, mode = find_key(line)
    measures = _split(_move(line, tonic), meter)
    if len(measures) > MOST_BARS:
        remarks.append(f"It has {len(measures)} bars; the first {MOST_BARS} were taken.")
    programs = {track.name: track.program for track in tracks}
    program, _ = Counter(programs[note.part] for note in line).most_common(1)[0]
    markers = tuple(_decode(m.text) for track in midi.tracks for m in track if m.type == "marker")
    return Melody(
        measures=tuple(measures[:MOST_BARS]),
        tonic=tonic,
        mode=mode,
        tempo=tempo,
        program=program,
        notes=tuple(remarks),
        tracks=tuple(tracks),
        markers=markers,
    )


def _open(data: bytes) -> MidiFile:
    # symusic is faster, but some damaged files crash the process.
    from mido import MidiFile

    if len(data) > MOST_BYTES:
        raise InvalidRequest(
            f"This file is too large: {len(data) / 1e6:.1f} MB. A MIDI file of a tune has a few "
            f"kilobytes; at most {MOST_BYTES / 1e6:.0f} MB can be read."
        )
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


def _read_tracks(midi: MidiFile) -> tuple[list[Track], int]:
    """Return the notes of each channel of each track, and the number of drum notes."""
    tracks: list[Track] = []
    drums = 0
    for track in midi.tracks:
        time, name = 0, ""
        sounding: dict[tuple[int, int], int] = {}
        programs: dict[int, int] = {}
        notes: dict[int, list[tuple[float, float, int]]] = {}  # by channel
        for message in track:
            time += message.time
            if message.type == "track_name":
                name = name or " ".join(_decode(message.name).split())[:MOST_NAME]
            if message.type == "program_change":
                programs.setdefault(message.channel, message.program)
            if message.type not in ("note_on", "note_off"):
                continue
            key = message.channel, message.note
            begun = sounding.pop(key, None)
            if begun is not None and time > begun:
                start, duration = begun / midi.ticks_per_beat, (time - begun) / midi.ticks_per_beat
                notes.setdefault(message.channel, []).append((start, duration, message.note))
            if message.type == "note_on" and message.velocity:
                drums += message.channel == DRUMS
                if message.channel != DRUMS:
                    sounding[key] = time
        for channel, own in notes.items():
            label = name or f"track {len(tracks) + 1}"
            tracks.append(Track(label, programs.get(channel, 0), tuple(own)))
    return tracks, drums


def _decode(text: str) -> str:
    """Decode a text: mido reads all as Latin-1, but many programs write UTF-8."""
    data = text.encode("latin-1", "replace")
    try:
        return data.decode()
    except UnicodeDecodeError:
        return text


def _describe_parts(notes: Sequence[BarNote], line: Sequence[BarNote], drums: int) -> list[str]:
    """Return sentences on where the melody was taken from, and what was left out."""
    taken = Counter(note.part for note in line)
    left = Counter(note.part for note in notes) - taken
    remarks = []
    if left or drums:
        remarks.append(f"The highest line became the melody: {_count(taken)}.")
        without = [*([_count(left)] if left else []), *(["the drums"] if drums else [])]
        remarks.append(f"Left out: {' and '.join(without)}.")
    return remarks


def _count(parts: Counter[str]) -> str:
    """Return the note counts in words: "3 notes of “Flute”, 1 of “Bass”"."""
    shown = [f"{count} of “{name}”" for name, count in parts.most_common(MOST_NAMES)]
    rest = parts.total() - sum(count for _, count in parts.most_common(MOST_NAMES))
    first, *others = [*shown, *([f"{rest} of others"] if rest else [])]
    number, whose = first.split(" ", 1)
    return ", ".join([f"{number} note{'' if number == '1' else 's'} {whose}", *others])


def _read_tempos(midi: MidiFile) -> list[int]:
    """Return the different tempos in quarter notes per minute, in order of appearance."""
    tempos = [m.tempo for track in midi.tracks for m in track if m.type == "set_tempo"]
    return list(dict.fromkeys(round(60e6 / max(tempo, 1)) for tempo in tempos or [500_000]))


def find_melody(notes: Iterable[BarNote]) -> list[BarNote]:
    """Return the highest line of ``notes``, quantized, one note at a time.

    Starts are counted from the beginning of the piece. A lower note that begins while a higher one
    still sounds counts as accompaniment.
    """
    line: list[BarNote] = []
    moved = [replace(note, start=_snap(note.start)) for note in notes]
    for note in sorted(moved, key=lambda note: (note.start, -note.pitch)):
        if line:
            last = line[-1]
            if note.start == last.start:
                continue
            if last.start + last.duration > note.start:
                if note.pitch < last.pitch and last.start + last.duration >= note.start + 0.25:
                    continue
                line[-1] = replace(last, duration=note.start - last.start)
        line.append(replace(note, duration=max(0.25, _snap(note.duration))))
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


def _read_meters(midi: MidiFile) -> tuple[str, list[str]]:
    """Return the meter to use, and the different meters of the file."""
    signatures = (m for track in midi.tracks for m in track if m.type == "time_signature")
    found = list(dict.fromkeys(f"{m.numerator}/{m.denominator}" for m in signatures)) or ["4/4"]
    return found[0] if found[0] in METERS else _ALIKE.get(found[0], "4/4"), found


def _move(notes: Sequence[BarNote], tonic: int) -> list[BarNote]:
    """Transpose ``notes`` from their key to C, into the octave of the model's melodies."""
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
    """Split a line into bars, from the bar of its first note on; notes belong where they begin."""
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
