"""Assigns the notes of a part to staves, with one or two voices each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, groupby

from demos.music.score.signs import Chord
from shared.tunes.arrangement import Part
from shared.tunes.tokens import CHOIR, PIANO, VOICE

MIDDLE_C = 60
OCTAVE = 12
_CLEFS = {"treble": (64, 77), "bass": (43, 57)}  # MIDI pitches of the lowest and the highest line
_SINGERS = (72, 67, 60, 50)  # usual pitches of soprano, alto, tenor and bass
_TAKEN = 100  # cost, in semitones of leap, of cutting off a note that still sounds


def lay_out(part: Part, notes: Sequence[Chord]) -> list[list[list[Chord]]]:
    """Return the voices of each staff of ``part``."""
    if part.name == CHOIR:
        soprano, alto, tenor, bass = _lay_singers(notes)
        return [[soprano, alto], [tenor, bass]]
    if part.name == VOICE:  # one note at a time
        line: list[Chord] = []
        for struck in _by_start(notes):
            _append(line, struck[0])
        return [[line]]
    hands = _part_hands(notes) if part.name == PIANO else [notes]
    return [_lay_voices(hand) for hand in hands]


def _part_hands(notes: Sequence[Chord]) -> tuple[list[Chord], list[Chord]]:
    """Assign notes from middle C up to the right hand; chords within an octave stay together."""
    right: list[Chord] = []
    left: list[Chord] = []
    for struck in _by_start(notes):
        pitches = [note.pitch for note in struck]
        is_one = max(pitches) - min(pitches) <= OCTAVE
        mean = sum(pitches) / len(pitches)
        for note in struck:
            (right if (mean if is_one else note.pitch) >= MIDDLE_C else left).append(note)
    return right, left


def _by_start(notes: Iterable[Chord]) -> Iterator[list[Chord]]:
    """Yield the notes that begin together, the highest first."""
    ordered = sorted(notes, key=lambda note: (note.start, -note.pitch))
    for _, group in groupby(ordered, lambda note: note.start):
        yield list(group)


def _lay_singers(notes: Sequence[Chord]) -> list[list[Chord]]:
    """Assign every note to one of four singers with the smallest leaps.

    A note that still sounds is cut off only if no other singer is free.
    """
    voices: list[list[Chord]] = [[], [], [], []]
    for struck in _by_start(notes):
        # The bass gets all further notes of a chord of more than four.
        singing, rest = struck[:4], struck[4:]

        def cost(chosen: Sequence[int], singing: Sequence[Chord] = singing) -> float:
            pairs = zip(chosen, singing, strict=True)
            return sum(_leap(voices[v], _SINGERS[v], note) for v, note in pairs)

        chosen = min(combinations(range(4), len(singing)), key=cost)
        if rest:
            singing[-1] = _join([singing[-1], *rest])
        for number, note in zip(chosen, singing, strict=True):
            _append(voices[number], note)
    return voices


def _leap(voice: Sequence[Chord], usual: int, note: Chord) -> float:
    if not voice:
        return abs(note.pitch - usual)
    return abs(note.pitch - voice[-1].pitch) + _TAKEN * (voice[-1].end > note.start)


def _lay_voices(notes: Sequence[Chord]) -> list[list[Chord]]:
    """Assign the notes of one hand to an upper and a lower voice, to the upper if one is enough.

    Notes that begin and end together form a chord. Of notes that begin together, the longest form
    one chord and all others a second one, which ends with the shortest of them.
    """
    upper: list[Chord] = []
    lower: list[Chord] = []
    groups = list(_by_start(notes))
    for number, struck in enumerate(groups):
        longest = max(note.end for note in struck)
        chord = _join([note for note in struck if note.end == longest])
        brief = [note for note in struck if note.end < longest]
        busy = [voice for voice in (upper, lower) if voice and voice[-1].end > chord.start]
        if brief:
            pair = sorted((chord, _join(brief)), key=lambda one: one.pitch)
            _append(lower, pair[0])
            _append(upper, pair[1])
        elif len(busy) == 1:
            _append(lower if busy[0] is upper else upper, chord)
        elif busy:
            _append(min(busy, key=lambda voice: abs(voice[-1].pitch - chord.pitch)), chord)
        else:
            _append(lower if _is_below(chord, groups[number + 1 : number + 2]) else upper, chord)
    return [upper, lower]


def _is_below(chord: Chord, after: Sequence[Sequence[Chord]]) -> bool:
    """Whether ``chord`` still sounds when a higher note begins."""
    return any(
        note.start < chord.end and note.pitch > chord.pitch for struck in after for note in struck
    )


def _join(notes: Sequence[Chord]) -> Chord:
    """Make a chord that ends with the shortest of ``notes``; duplicate pitches are merged."""
    heads = {head.pitch: head for note in notes for head in note.heads}
    end = min(note.end for note in notes)
    return Chord(notes[0].start, end, tuple(heads[pitch] for pitch in sorted(heads)))


def _append(voice: list[Chord], chord: Chord) -> None:
    """Append ``chord``; a note that still sounds in the voice is cut off."""
    if voice and voice[-1].end > chord.start:
        voice[-1] = replace(voice[-1], end=chord.start)
    voice.append(chord)


def choose_clef(notes: Sequence[Chord]) -> str:
    """Choose the clef that needs the fewest ledger lines."""

    def outside(clef: str) -> float:
        low, high = _CLEFS[clef]
        return sum(max(low - note.pitch, note.pitch - high, 0) for note in notes)

    return min(_CLEFS, key=outside)
