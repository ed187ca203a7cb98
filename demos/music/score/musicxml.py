"""Writes a piece as MusicXML 4.0 (https://www.w3.org/2021/06/musicxml40/).

Notes are spelled by the key: of the names that a pitch can have, the one nearest to the notes of
the key on the line of fifths. In minor the range extends further to the sharps, for the leading
tone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from demos.music.score.notation import Notation, Staff, notate
from demos.music.score.signs import SIGNS, TICKS, Head, Sign, is_compound
from shared.errors import InvalidRequest
from shared.tunes.arrangement import Arrangement
from shared.tunes.controls import INSTRUMENTS, STYLE_NAMES, TuneControls, spell_note

_DOCTYPE = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 4.0 Partwise//EN" '
    '"http://www.musicxml.org/dtds/partwise.dtd">\n'
)
_MODE_FIFTHS = {"Major": 0, "Minor": -3, "Dorian": -2, "Mixolydian": -1}
_ALTERATIONS = {-2: "flat-flat", -1: "flat", 0: "natural", 1: "sharp", 2: "double-sharp"}
_QUALITIES = {"": "major", "m": "minor", "dim": "diminished"}
_CLEFS = {"treble": ("G", 2), "bass": ("F", 4)}


class Key:
    """A key and its signature.

    Attributes:
        name: Such as "A-flat major".
        mode: Such as "Major".
        fifths: Number of sharps in the signature, or of flats if negative, -6 to 6.
    """

    def __init__(self, controls: TuneControls) -> None:
        """Use the key of ``controls``; without a mode it is major."""
        self.mode = controls.mode or "Major"
        named = replace(controls, mode=self.mode)
        self.fifths = named.fifths + _MODE_FIFTHS[self.mode]
        note, mode = named.key_name.split()
        self.name = f"{note[0]}{note[1:].replace('b', '-flat').replace('#', '-sharp')} {mode}"

    def spell(self, pitch_class: int) -> tuple[str, int]:
        """Return the letter of a pitch class in this key, and its alteration in semitones."""
        lowest = self.fifths - (2 if self.mode == "Minor" else 3)
        return _name(lowest + (7 * pitch_class - lowest) % 12)

    def signature(self) -> dict[str, int]:
        """Return the alteration of each letter in the signature, in semitones."""
        return dict(_name(place) for place in range(self.fifths - 1, self.fifths + 6))


def _name(fifths: int) -> tuple[str, int]:
    """Return letter and alteration in semitones of the note this many fifths above C."""
    note = spell_note(fifths)
    return note[0], note.count("#") - note.count("b")


def write_musicxml(music: Arrangement, controls: TuneControls) -> str:
    """Return ``music``, which was arranged with ``controls``, as MusicXML.

    A note with index 5 in ``music.notes`` has the id ``note-5``; the notes that are tied to it have
    ``note-5.1`` and so on.

    Raises:
        InvalidRequest: There are no notes.
    """
    if not music.notes:
        raise InvalidRequest(
            "There is nothing to write down: this piece has only rests. Another seed will bring "
            "notes."
        )
    notation = notate(music)
    key = Key(controls)
    score = Element("score-partwise", version="4.0")
    style = STYLE_NAMES.get(controls.style or "", controls.style or "Tune")
    _add(_add(score, "work"), "work-title", f"{style} in {key.name}")
    _add(_add(_add(score, "identification"), "encoding"), "software", "Generative Gallery")
    listed = _add(score, "part-list")
    for number, (part, _) in enumerate(notation.parts, 1):
        entry = _add(listed, "score-part", id=f"P{number}")
        _add(entry, "part-name", part.instrument.capitalize())
        player = f"P{number}-I1"
        _add(_add(entry, "score-instrument", id=player), "instrument-name", part.instrument)
        midi = _add(entry, "midi-instrument", id=player)
        _add(midi, "midi-channel", number)
        _add(midi, "midi-program", INSTRUMENTS[part.instrument] + 1)
    for number, (_, staves) in enumerate(notation.parts, 1):
        writer = _PartWriter(notation, staves, key, music.tempo, is_first=number == 1)
        writer.write(_add(score, "part", id=f"P{number}"), is_loop=controls.loop)
    indent(score)
    return _DOCTYPE + tostring(score, encoding="unicode")


def _add(parent: Element, tag: str, text: Any = None, /, **attributes: str) -> Element:
    element = SubElement(parent, tag, attributes)
    element.text = None if text is None else str(text)
    return element


@dataclass(frozen=True)
class _Place:
    """Where a sign is written: staff and voice of its part, and layer (voice) of the staff."""

    staff: int
    voice: int
    layer: int
    layers: int


class _PartWriter:
    """Writes the measures of one part; the first part has the tempo and the chord names."""

    def __init__(
        self, notation: Notation, staves: Sequence[Staff], key: Key, tempo: int, *, is_first: bool
    ) -> None:
        self.notation, self.staves, self.key, self.tempo = notation, staves, key, tempo
        self.is_first = is_first
        self.signs_of_note: dict[int, int] = {}

    def write(self, part: Element, *, is_loop: bool) -> None:
        bars = self.notation.bars
        for number, bar in enumerate(bars):
            counted = number + (not bars[0].begin)  # an upbeat is bar 0
            measure = _add(part, "measure", number=str(counted))
            if bar.begin:
                measure.set("implicit", "yes")
            if is_loop and number == 0:
                _write_barline(measure, "left", "heavy-light", repeat="forward")
            if number == 0 or bar.meter != bars[number - 1].meter:
                self._write_attributes(measure, number)
            if self.is_first:
                self._write_words(measure, number)
            self._write_notes(measure, number)
            if number == len(bars) - 1:
                repeat = "backward" if is_loop else ""
                _write_barline(measure, "right", "light-heavy", repeat=repeat)

    def _write_attributes(self, measure: Element, number: int) -> None:
        attributes = _add(measure, "attributes")
        if number == 0:
            _add(attributes, "divisions", TICKS)
            key = _add(attributes, "key")
            _add(key, "fifths", self.key.fifths)
            _add(key, "mode", self.key.mode.lower())
        time = _add(attributes, "time")
        beats, unit = self.notation.bars[number].meter.split("/")
        _add(time, "beats", beats)
        _add(time, "beat-type", unit)
        if number == 0:
            _add(attributes, "staves", len(self.staves))
            for place, staff in enumerate(self.staves, 1):
                clef = _add(attributes, "clef", number=str(place))
                sign, line = _CLEFS[staff.clef]
                _add(clef, "sign", sign)
                _add(clef, "line", line)

    def _write_words(self, measure: Element, number: int) -> None:
        """Write the tempo and the chord names."""
        bar = self.notation.bars[number]
        if number == 0:
            direction = _add(measure, "direction", placement="above")
            metronome = _add(_add(direction, "direction-type"), "metronome")
            _add(metronome, "beat-unit", "quarter")
            if is_compound(bar.meter):
                _add(metronome, "beat-unit-dot")
            pace = self.tempo / 1.5 if is_compound(bar.meter) else self.tempo
            _add(metronome, "per-minute", round(pace))
            _add(direction, "sound", tempo=str(self.tempo))
        for place, ticks, name in self.notation.chords:
            if place == number:
                self._write_chord(measure, max(0, ticks - bar.begin), name)

    def _write_chord(self, measure: Element, offset: int, name: str) -> None:
        step, quality = name[0], name[1:].lstrip("#b")
        alter = name.count("#") - name.count("b")
        harmony = _add(measure, "harmony", placement="above")
        root = _add(harmony, "root")
        _add(root, "root-step", step)
        if alter:
            _add(root, "root-alter", alter)
        _add(harmony, "kind", _QUALITIES[quality], text=quality)
        if offset:
            _add(harmony, "offset", offset)

    def _write_notes(self, measure: Element, number: int) -> None:
        bar = self.notation.bars[number]
        length = bar.ticks - bar.begin
        for place, staff in enumerate(self.staves, 1):
            voices = [voice[number] for voice in staff.voices if voice[number]] or [()]
            accidentals = self._find_accidentals(voices)
            for layer, signs in enumerate(voices):
                if place > 1 or layer:
                    _add(_add(measure, "backup"), "duration", length)
                # Notation programs number voices so: four per staff.
                where = _Place(place, 4 * (place - 1) + layer + 1, layer, len(voices))
                if not signs:
                    _write_rest(measure, length, where, is_whole=not bar.begin)
                for sign in signs:
                    is_hidden = not sign.triplet and (layer or _is_covered(sign, voices[1:]))
                    if sign.heads or not is_hidden:
                        self._write_sign(measure, sign, where, accidentals)
                    else:
                        _add(_add(measure, "forward"), "duration", sign.duration)

    def _find_accidentals(self, voices: Sequence[Sequence[Sign]]) -> dict[tuple[int, int], str]:
        """Return the accidentals of a bar that must be written, by ticks and pitch."""
        signature = self.key.signature()
        valid: dict[tuple[str, int], int] = {}
        shown = {}
        for sign in sorted((s for signs in voices for s in signs), key=lambda s: s.start):
            for head in sign.heads:
                letter, alter, octave = self._spell(head.pitch)
                if head.continues and sign.start == 0:
                    continue  # valid through the tie over the bar line
                if alter != valid.get((letter, octave), signature[letter]):
                    valid[letter, octave] = alter
                    shown[sign.start, head.pitch] = _ALTERATIONS[alter]
        return shown

    def _spell(self, pitch: int) -> tuple[str, int, int]:
        """Return letter, alteration in semitones, and octave."""
        letter, alter = self.key.spell(pitch % 12)
        return letter, alter, (pitch - alter) // 12 - 1

    def _write_sign(
        self, measure: Element, sign: Sign, where: _Place, accidentals: dict[tuple[int, int], str]
    ) -> None:
        for order, head in enumerate(sign.heads or [None]):
            note = _add(measure, "note")
            if order:
                _add(note, "chord")
            if head:
                note.set("id", self._name(head))
                letter, alter, octave = self._spell(head.pitch)
                pitch = _add(note, "pitch")
                _add(pitch, "step", letter)
                if alter:
                    _add(pitch, "alter", alter)
                _add(pitch, "octave", octave)
            else:
                _add(note, "rest")
            _add(note, "duration", sign.duration)
            ties = [
                kind
                for kind, is_so in (
                    ("stop", head and head.continues),
                    ("start", head and head.goes_on),
                )
                if is_so
            ]
            for kind in ties:
                _add(note, "tie", type=kind)
            _add(note, "voice", where.voice)
            name, dots = SIGNS[sign.value]
            _add(note, "type", name)
            if dots:
                _add(note, "dot")
            if head and (accidental := accidentals.get((sign.start, head.pitch))):
                _add(note, "accidental", accidental)
            if sign.triplet:
                change = _add(note, "time-modification")
                _add(change, "actual-notes", 3)
                _add(change, "normal-notes", 2)
            if head and where.layers > 1:
                _add(note, "stem", "down" if where.layer else "up")
            _add(note, "staff", where.staff)
            if sign.beam and not order:
                _add(note, "beam", sign.beam, number="1")
            is_edge = sign.triplet in ("start", "stop") and not order
            if ties or is_edge:
                notations = _add(note, "notations")
                for kind in ties:
                    _add(notations, "tied", type=kind)
                if is_edge:
                    _add(notations, "tuplet", type=sign.triplet)

    def _name(self, head: Head) -> str:
        """Return the next id for a note; see ``write_musicxml``."""
        number = self.signs_of_note[head.note] = self.signs_of_note.get(head.note, -1) + 1
        return f"note-{head.note}" + (f".{number}" if number else "")


def _is_covered(rest: Sign, voices: Sequence[Sequence[Sign]]) -> bool:
    """Whether one of ``voices`` sounds during the whole rest, which then is not drawn."""
    end = rest.start + rest.duration
    return any(
        sum(
            max(0, min(sign.start + sign.duration, end) - max(sign.start, rest.start))
            for sign in signs
            if sign.heads
        )
        == rest.duration
        for signs in voices
    )


def _write_rest(measure: Element, length: int, where: _Place, *, is_whole: bool) -> None:
    """Write a rest that fills the bar; in a whole bar it is centred."""
    note = _add(measure, "note")
    written = None if is_whole else SIGNS.get(length)  # an upbeat gets a rest of its length
    _add(note, "rest", **({} if written else {"measure": "yes"}))
    _add(note, "duration", length)
    _add(note, "voice", where.voice)
    if written:
        name, dots = written
        _add(note, "type", name)
        if dots:
            _add(note, "dot")
    _add(note, "staff", where.staff)


def _write_barline(measure: Element, location: str, style: str, repeat: str) -> None:
    barline = _add(measure, "barline", location=location)
    _add(barline, "bar-style", style)
    if repeat:
        _add(barline, "repeat", direction=repeat)
