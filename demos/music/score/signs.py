"""Splits the chords of a voice into signs: notes, rests, ties, triplets and beams.

A note that cannot be written as a single sign, or that would hide a beat, is written as several
signs with ties.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, groupby, pairwise

TICKS = 24  # per quarter note
# Ticks to the MusicXML type of the sign and its number of dots.
SIGNS = {
    3: ("32nd", 0), 6: ("16th", 0), 9: ("16th", 1), 12: ("eighth", 0), 18: ("eighth", 1),
    24: ("quarter", 0), 36: ("quarter", 1), 48: ("half", 0), 72: ("half", 1), 96: ("whole", 0),
}  # fmt: skip
EIGHTH = TICKS // 2
FINEST = 3
_BEAMED = {"eighth", "16th", "32nd"}


@dataclass(frozen=True)
class Head:
    """A note head.

    Attributes:
        pitch: MIDI pitch.
        note: Index of the note in ``Arrangement.notes``.
        continues: Whether it is tied to the sign before it.
        goes_on: Whether it is tied to the sign after it.
    """

    pitch: int
    note: int
    continues: bool = False
    goes_on: bool = False


@dataclass(frozen=True)
class Sign:
    """A written note or chord or, without heads, a rest.

    Attributes:
        start: Ticks from the bar line.
        duration: Length in ticks.
        value: Length in ticks outside a triplet, a key of ``SIGNS``.
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
class Bar:
    """A bar of ``ticks`` ticks; an upbeat is written from ``begin`` on."""

    meter: str
    ticks: int
    begin: int = 0


@dataclass(frozen=True)
class Chord:
    """Notes that begin and end together, in ticks from the first bar line."""

    start: int
    end: int
    heads: tuple[Head, ...]

    @property
    def pitch(self) -> float:
        """The mean MIDI pitch of its heads."""
        return sum(head.pitch for head in self.heads) / len(self.heads)


def is_compound(meter: str) -> bool:
    """Whether a beat is a dotted quarter, as in 6/8."""
    return meter.endswith("/8")


def write_voice(
    voice: Sequence[Chord], bars: Sequence[Bar], lines: Sequence[int]
) -> tuple[tuple[Sign, ...], ...]:
    """Return the signs of a voice in each bar, () where it is silent; ``lines`` are in ticks."""
    return tuple(_write_bar(voice, bar, line) for bar, line in zip(bars, lines, strict=False))


def _write_bar(voice: Sequence[Chord], bar: Bar, line: int) -> tuple[Sign, ...]:
    """Return the signs of the bar that begins at ``line``, with rests; () if it is silent."""
    first = bisect_right(voice, line, key=lambda chord: chord.end)
    inside = []
    for chord in voice[first:]:
        start, end = chord.start - line, chord.end - line
        if start >= bar.ticks:
            break
        heads = tuple(
            replace(head, continues=start < 0, goes_on=end > bar.ticks) for head in chord.heads
        )
        inside.append(Chord(max(start, 0), min(end, bar.ticks), heads))
    if not inside:
        return ()
    return _beam(_write_signs(_fill(inside, bar), bar), bar.meter)


def _fill(chords: Sequence[Chord], bar: Bar) -> list[Chord]:
    """Insert rests, which are chords without heads, where nothing sounds."""
    filled = []
    time = bar.begin
    for chord in chords:
        if chord.start > time:
            filled.append(Chord(time, chord.start, ()))
        filled.append(chord)
        time = chord.end
    if time < bar.ticks:
        filled.append(Chord(time, bar.ticks, ()))
    return filled


def _write_signs(chords: Sequence[Chord], bar: Bar) -> list[Sign]:
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
    """Tie the head of piece ``number`` (0 to ``last``) of a note to the pieces before and after."""
    return replace(
        head,
        continues=head.continues or number > 0,
        goes_on=head.goes_on or number < last,
    )


def _find_triplets(bar: Bar, marks: set[int]) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each triplet; ``marks`` are the starts and ends of notes."""
    if is_compound(bar.meter):
        spans = [(begin, EIGHTH) for begin in range(0, bar.ticks, EIGHTH)]
    else:
        spans = [
            (begin, min(2 * TICKS, bar.ticks - begin)) for begin in range(0, bar.ticks, 2 * TICKS)
        ]
    while spans:
        begin, length = spans.pop(0)
        inside = {mark - begin for mark in marks if begin < mark < begin + length}
        if all(mark % FINEST == 0 for mark in inside):
            continue
        thirds = {length // 3, 2 * length // 3}
        if length // 2 in inside or (length > TICKS and not inside <= thirds):
            spans[:0] = [(begin, length // 2), (begin + length // 2, length // 2)]
        else:
            yield begin, begin + length


def _split_in_triplet(start: int, end: int, span: tuple[int, int]) -> list[Sign]:
    """Split a note inside a triplet into signs, which last two thirds of their value."""
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
    """Split the time from ``start`` to ``end`` into single signs that do not hide beats.

    In 4/4 the middle of the bar must stay visible too.
    """
    if _is_one_sign(start, end, meter, is_rest=is_rest):
        return [(start, end)]
    beat = 3 * EIGHTH if is_compound(meter) else TICKS
    halves = [2 * TICKS] if meter == "4/4" else []
    for level in (*halves, beat, EIGHTH, EIGHTH // 2, FINEST):
        inside = [time for time in range(0, end, level) if start < time]
        if inside:
            # A note that starts on a beat gets its longer sign first, else last.
            cut = inside[-1] if start % level == 0 else inside[0]
            break
    pieces = ((start, cut), (cut, end))
    return [piece for s, e in pieces for piece in _split(s, e, meter, is_rest=is_rest)]


def _is_one_sign(start: int, end: int, meter: str, *, is_rest: bool) -> bool:
    length = end - start
    if length == FINEST:
        return True
    if length not in SIGNS:
        return False
    beat = 3 * EIGHTH if is_compound(meter) else TICKS
    unit = max(FINEST, length // 3 if SIGNS[length][1] else length // 2)
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
    """Beam eighths and shorter notes by beat, and four plain eighths of half a 4/4 bar."""
    beat = 3 * EIGHTH if is_compound(meter) else TICKS
    half = 2 * TICKS
    wide = {
        place
        for place in range(2)
        if meter == "4/4"
        and all(
            sign.value == EIGHTH and sign.heads and not sign.triplet
            for sign in signs
            if sign.start // half == place
        )
    }

    # A beam does not cross the edge of a triplet.
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
