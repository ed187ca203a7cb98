"""An arrangement to what is written on staves: bars, voices, and signs that add up.

What is heard is a start and a duration; what is written are signs. A note that no single sign can
say, or that would hide a beat, is written as several signs with ties. Times are ticks, ``TICKS`` a
quarter: sixteenths and triplets are whole numbers of them.

Whoever plays several notes at a time has two voices on a staff at most, and a piano one staff for
each hand; the four voices of a choir are told apart by how far each would have to leap. What a
rule accompanies with (see ``chords.py``) is written as players read it, without the gaps between
strokes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, combinations, groupby, pairwise

from shared.tunes.arrangement import Arrangement, Part
from shared.tunes.tokens import CHOIR, PIANO, VOICE

TICKS = 24  # a quarter
# Ticks to the name of the sign and its dots.
SIGNS = {
    3: ("32nd", 0), 6: ("16th", 0), 9: ("16th", 1), 12: ("eighth", 0), 18: ("eighth", 1),
    24: ("quarter", 0), 36: ("quarter", 1), 48: ("half", 0), 72: ("half", 1), 96: ("whole", 0),
}  # fmt: skip
MIDDLE_C = 60
OCTAVE = 12
_EIGHTH = TICKS // 2
_FINEST = 3
_CLEFS = {"treble": (64, 77), "bass": (43, 57)}  # pitches of the lowest and the highest line
_SINGERS = (72, 67, 60, 50)  # usual pitches of soprano, alto, tenor and bass
_TAKEN = 100  # semitones that a singer would rather leap than break off a note


@dataclass(frozen=True)
class Head:
    """The head of a note.

    Attributes:
        pitch: As MIDI has it.
        note: The number of the note in ``Arrangement.notes``.
        continues: Whether a tie leads to it.
        goes_on: Whether a tie leads on from it.
    """

    pitch: int
    note: int
    continues: bool = False
    goes_on: bool = False


@dataclass(frozen=True)
class Sign:
    """A note, a chord or, without heads, a rest.

    Attributes:
        start: Ticks from the bar line.
        duration: Ticks that it lasts.
        value: Ticks that the sign would last outside a triplet, one of ``SIGNS``.
        heads: The lowest first.
        triplet: "start", "inside" or "stop"; "" outside one.
        beam: "begin", "continue" or "end"; "" without one.
    """

    start: int
    duration: int
    value: int
    heads: tuple[Head, ...] = ()
    triplet: str = ""
    beam: str = ""


@dataclass(frozen=True)
class Staff:
    """Five lines.

    Attributes:
        clef: "treble" or "bass".
        voices: For each voice, the upper first, its signs in each bar; none where it is silent.
    """

    clef: str
    voices: tuple[tuple[tuple[Sign, ...], ...], ...]


@dataclass(frozen=True)
class Bar:
    """A bar: ``ticks`` long, of which an upbeat writes only those from ``begin`` on."""

    meter: str
    ticks: int
    begin: int = 0


@dataclass(frozen=True)
class Notation:
    """A piece as it is written.

    Attributes:
        bars: From the first, which may be an upbeat.
        parts: Each with its staves, the upper first.
        chords: Bar, ticks from its bar line, and name of each chord.
    """

    bars: tuple[Bar, ...]
    parts: tuple[tuple[Part, tuple[Staff, ...]], ...]
    chords: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True)
class _Chord:
    """Notes that begin and end together, in ticks from the first bar line."""

    start: int
    end: int
    heads: tuple[Head, ...]

    @property
    def pitch(self) -> float:
        return sum(head.pitch for head in self.heads) / len(self.heads)


def notate(music: Arrangement) -> Notation:
    """Write ``music`` down; without bars there is nothing to write."""
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
        _Chord(ticks(n.start), min(ticks(n.start + n.duration), lines[-1]), (Head(n.pitch, i),))
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
        bars[0] = replace(bars[0], begin=first if first % _FINEST == 0 else first // 12 * 12)
    chords = []
    for seconds, name in music.chords:
        at = round(ticks(seconds) / _EIGHTH) * _EIGHTH
        bar = bisect_right(lines[:-1], at) - 1
        chords.append((bar, at - lines[bar], name))
    parts = []
    for part, notes in zip(music.parts, snapped, strict=True):
        staves = _lay_out(part, notes)
        clefs = ("treble", "bass") if len(staves) > 1 else (_choose_clef(notes),)
        parts.append(
            (
                part,
                tuple(
                    Staff(clef, tuple(_write_voice(voice, bars, lines) for voice in voices))
                    for clef, voices in zip(clefs, staves, strict=True)
                ),
            )
        )
    return Notation(tuple(bars), tuple(parts), tuple(chords))


def is_compound(meter: str) -> bool:
    """Whether a beat is a dotted quarter, as in 6/8."""
    return meter.endswith("/8")


def _join_strokes(notes: Sequence[_Chord]) -> list[_Chord]:
    """Let every stroke last for whole eighths, but not into the next one."""
    starts = sorted({note.start for note in notes})
    after = dict(pairwise(starts))
    return [
        replace(
            note,
            end=min(
                note.start - (note.start - note.end) // _EIGHTH * _EIGHTH,
                after.get(note.start, note.end + _EIGHTH),
            ),
        )
        for note in notes
    ]


def _snap(notes: Sequence[_Chord], bars: Sequence[Bar], lines: Sequence[int]) -> list[_Chord]:
    """Move the starts and ends within each beat to its 32nds or its triplets, what is nearer."""
    marks = sorted({time for note in notes for time in (note.start, note.end)})
    moved: dict[int, int] = {}
    steps: dict[int, int] = {}

    def cell_of(time: int) -> tuple[int, int]:
        bar = min(bisect_right(lines, time) - 1, len(bars) - 1)
        length = _EIGHTH if is_compound(bars[bar].meter) else TICKS
        return lines[bar] + (time - lines[bar]) // length * length, length

    for (begin, _), group in groupby(marks, cell_of):
        times = [time - begin for time in group]
        step = min((_FINEST, 4), key=lambda s: sum(abs(t - round(t / s) * s) for t in times))
        for time in times:
            moved[begin + time] = begin + round(time / step) * step
            steps[begin + time] = step
    return [
        replace(note, start=start, end=end)
        for note in notes
        if (start := moved[note.start]) < lines[-1]
        # However short it is, it is written: up to the next moment of its beat.
        for end in [max(moved[note.end], start + steps[note.start])]
    ]


def _lay_out(part: Part, notes: Sequence[_Chord]) -> list[list[list[_Chord]]]:
    """Return for each staff of ``part`` its voices."""
    if part.name == CHOIR:
        soprano, alto, tenor, bass = _lay_singers(notes)
        return [[soprano, alto], [tenor, bass]]
    if part.name == VOICE:  # sings one note at a time
        line: list[_Chord] = []
        for struck in _by_start(notes):
            _append(line, struck[0])
        return [[line]]
    hands = _part_hands(notes) if part.name == PIANO else [notes]
    return [_lay_voices(hand) for hand in hands]


def _part_hands(notes: Sequence[_Chord]) -> tuple[list[_Chord], list[_Chord]]:
    """Give what lies above middle C to the right hand; a hand spans an octave."""
    right: list[_Chord] = []
    left: list[_Chord] = []
    for struck in _by_start(notes):
        pitches = [note.pitch for note in struck]
        is_one = max(pitches) - min(pitches) <= OCTAVE
        mean = sum(pitches) / len(pitches)
        for note in struck:
            (right if (mean if is_one else note.pitch) >= MIDDLE_C else left).append(note)
    return right, left


def _by_start(notes: Iterable[_Chord]) -> Iterator[list[_Chord]]:
    """Yield the notes that begin together, the highest first."""
    ordered = sorted(notes, key=lambda note: (note.start, -note.pitch))
    for _, group in groupby(ordered, lambda note: note.start):
        yield list(group)


def _lay_singers(notes: Sequence[_Chord]) -> list[list[_Chord]]:
    """Give every note to one of four singers, so that they leap as little as they can.

    Who still sings breaks off only when there are too few of them.
    """
    voices: list[list[_Chord]] = [[], [], [], []]
    for struck in _by_start(notes):
        # A chord of more than four is more than they can sing: the bass reads the rest of it.
        singing, rest = struck[:4], struck[4:]

        def cost(chosen: Sequence[int], singing: Sequence[_Chord] = singing) -> float:
            pairs = zip(chosen, singing, strict=True)
            return sum(_leap(voices[v], _SINGERS[v], note) for v, note in pairs)

        chosen = min(combinations(range(4), len(singing)), key=cost)
        if rest:
            singing[-1] = _join([singing[-1], *rest])
        for number, note in zip(chosen, singing, strict=True):
            _append(voices[number], note)
    return voices


def _leap(voice: Sequence[_Chord], usual: int, note: _Chord) -> float:
    if not voice:
        return abs(note.pitch - usual)
    return abs(note.pitch - voice[-1].pitch) + _TAKEN * (voice[-1].end > note.start)


def _lay_voices(notes: Sequence[_Chord]) -> list[list[_Chord]]:
    """Lay what one hand plays into an upper and a lower voice; where one suffices, it is the upper.

    Chords are notes that begin and end together. Two at a time can be written so; if there are
    more, those that are not among the longest end with the shortest.
    """
    upper: list[_Chord] = []
    lower: list[_Chord] = []
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


def _is_below(chord: _Chord, after: Sequence[Sequence[_Chord]]) -> bool:
    """Whether ``chord`` sounds on under something higher."""
    return any(
        note.start < chord.end and note.pitch > chord.pitch for struck in after for note in struck
    )


def _join(notes: Sequence[_Chord]) -> _Chord:
    """Make a chord that ends with the first of ``notes`` that ends; each pitch counts once."""
    heads = {head.pitch: head for note in notes for head in note.heads}
    end = min(note.end for note in notes)
    return _Chord(notes[0].start, end, tuple(heads[pitch] for pitch in sorted(heads)))


def _append(voice: list[_Chord], chord: _Chord) -> None:
    """Add ``chord``; what still sounds in the voice ends where it begins."""
    if voice and voice[-1].end > chord.start:
        voice[-1] = replace(voice[-1], end=chord.start)
    voice.append(chord)


def _choose_clef(notes: Sequence[_Chord]) -> str:
    """Choose the clef that leaves least to ledger lines."""

    def outside(clef: str) -> float:
        low, high = _CLEFS[clef]
        return sum(max(low - note.pitch, note.pitch - high, 0) for note in notes)

    return min(_CLEFS, key=outside)


def _write_voice(
    voice: Sequence[_Chord], bars: Sequence[Bar], lines: Sequence[int]
) -> tuple[tuple[Sign, ...], ...]:
    return tuple(_write_bar(voice, bar, line) for bar, line in zip(bars, lines, strict=False))


def _write_bar(voice: Sequence[_Chord], bar: Bar, line: int) -> tuple[Sign, ...]:
    """Write what ``voice`` has from bar line ``line`` on, with its rests; () if it is silent."""
    first = bisect_right(voice, line, key=lambda chord: chord.end)
    inside = []
    for chord in voice[first:]:
        start, end = chord.start - line, chord.end - line
        if start >= bar.ticks:
            break
        heads = tuple(
            replace(head, continues=start < 0, goes_on=end > bar.ticks) for head in chord.heads
        )
        inside.append(_Chord(max(start, 0), min(end, bar.ticks), heads))
    if not inside:
        return ()
    return _beam(_write_signs(_fill(inside, bar), bar), bar.meter)


def _fill(chords: Sequence[_Chord], bar: Bar) -> list[_Chord]:
    """Put rests, chords without heads, wherever nothing sounds."""
    filled = []
    time = bar.begin
    for chord in chords:
        if chord.start > time:
            filled.append(_Chord(time, chord.start, ()))
        filled.append(chord)
        time = chord.end
    if time < bar.ticks:
        filled.append(_Chord(time, bar.ticks, ()))
    return filled


def _write_signs(chords: Sequence[_Chord], bar: Bar) -> list[Sign]:
    marks = {chord.start for chord in chords} | {chord.end for chord in chords}
    triplets = list(_find_triplets(bar, marks))
    edges = sorted({edge for span in triplets for edge in span})
    signs = []
    for chord in chords:
        times = [chord.start, *(e for e in edges if chord.start < e < chord.end), chord.end]
        pieces = []
        for start, end in pairwise(times):
            span = next((s for s in triplets if s[0] <= start < s[1]), None)
            if span:
                pieces += _split_in_triplet(start, end, span)
            else:
                cuts = _split(start, end, bar.meter, is_rest=not chord.heads)
                pieces += [Sign(s, e - s, e - s) for s, e in cuts]
        last = len(pieces) - 1
        signs += [
            replace(piece, heads=tuple(_tie(head, number, last) for head in chord.heads))
            for number, piece in enumerate(pieces)
        ]
    return signs


def _tie(head: Head, number: int, last: int) -> Head:
    """Tie the head of one sign of several to those beside it."""
    return replace(
        head,
        continues=head.continues or number > 0,
        goes_on=head.goes_on or number < last,
    )


def _find_triplets(bar: Bar, marks: set[int]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of what is to be divided by three, ``marks`` being starts and ends."""
    if is_compound(bar.meter):
        spans = [(begin, _EIGHTH) for begin in range(0, bar.ticks, _EIGHTH)]
    else:
        spans = [
            (begin, min(2 * TICKS, bar.ticks - begin)) for begin in range(0, bar.ticks, 2 * TICKS)
        ]
    while spans:
        begin, length = spans.pop(0)
        inside = {mark - begin for mark in marks if begin < mark < begin + length}
        if all(mark % _FINEST == 0 for mark in inside):
            continue
        thirds = {length // 3, 2 * length // 3}
        if length // 2 in inside or (length > TICKS and not inside <= thirds):
            spans[:0] = [(begin, length // 2), (begin + length // 2, length // 2)]
        else:
            yield begin, begin + length


def _split_in_triplet(start: int, end: int, span: tuple[int, int]) -> list[Sign]:
    """Write a note inside a triplet, whose signs last two thirds of their value."""
    begin, stop = span
    signs = []
    while start < end:
        value = max(value for value in SIGNS if value * 2 <= (end - start) * 3)
        place = "start" if start == begin else "inside"
        start += value * 2 // 3
        signs.append(
            Sign(
                start - value * 2 // 3, value * 2 // 3, value,
                triplet="stop" if start == stop else place,
            )
        )  # fmt: skip
    return signs


def _split(start: int, end: int, meter: str, *, is_rest: bool) -> list[tuple[int, int]]:
    """Cut what lasts from ``start`` to ``end`` into what single signs can say without hiding beats.

    A bar of 4/4 also shows its middle.
    """
    if _is_one_sign(start, end, meter, is_rest=is_rest):
        return [(start, end)]
    beat = 3 * _EIGHTH if is_compound(meter) else TICKS
    halves = [2 * TICKS] if meter == "4/4" else []
    for level in (*halves, beat, _EIGHTH, _EIGHTH // 2, _FINEST):
        inside = [time for time in range(0, end, level) if start < time]
        if inside:
            # From a beat on the longer sign comes first, towards a beat it comes last.
            cut = inside[-1] if start % level == 0 else inside[0]
            break
    pieces = ((start, cut), (cut, end))
    return [piece for s, e in pieces for piece in _split(s, e, meter, is_rest=is_rest)]


def _is_one_sign(start: int, end: int, meter: str, *, is_rest: bool) -> bool:
    length = end - start
    if length == _FINEST:
        return True
    if length not in SIGNS:
        return False
    beat = 3 * _EIGHTH if is_compound(meter) else TICKS
    unit = max(_FINEST, length // 3 if SIGNS[length][1] else length // 2)
    on_beats = start % beat == end % beat == 0
    crosses = start // beat < (end - 1) // beat
    if is_compound(meter):
        return on_beats or (not crosses and start % (length if is_rest else unit) == 0)
    if is_rest:
        return not SIGNS[length][1] and start % length == 0 and (length <= beat or meter == "4/4")
    if crosses and meter == "4/4" and start < 2 * TICKS < end and not on_beats:
        return False
    return start % unit == 0 and (length >= beat or not crosses)


def _beam(signs: Sequence[Sign], meter: str) -> tuple[Sign, ...]:
    """Join eighths and shorter notes of a beat by beams; plain eighths of half a 4/4 bar, too."""
    beat = 3 * _EIGHTH if is_compound(meter) else TICKS
    half = 2 * TICKS
    wide = {
        place
        for place in range(2)
        if meter == "4/4"
        and all(
            sign.value == _EIGHTH and sign.heads and not sign.triplet
            for sign in signs
            if sign.start // half == place
        )
    }

    # No beam reaches over the edge of a triplet.
    triplets = accumulate(
        (before.triplet == "stop") or (sign.triplet == "start") for before, sign in pairwise(signs)
    )
    places = zip(signs, (0, *triplets), strict=True)

    def group_of(place: tuple[Sign, int]) -> tuple[bool, int, int]:
        sign, triplet = place
        length = half if sign.start // half in wide else beat
        can = bool(sign.heads) and SIGNS[sign.value][0] in _BEAMED
        return can, triplet, sign.start // length * length

    beamed: list[Sign] = []
    for (can, *_), group in groupby(places, group_of):
        together = [sign for sign, _ in group]
        last = len(together) - 1
        for number, sign in enumerate(together):
            place = "begin" if number == 0 else "end" if number == last else "continue"
            beamed.append(replace(sign, beam=place if can and last else ""))
    return tuple(beamed)


_BEAMED = {"eighth", "16th", "32nd"}
