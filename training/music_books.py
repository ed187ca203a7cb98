"""Reads the tunes and chorales of the music21 corpus.

The books, all out of copyright: James Aird, *A Selection of Scotch, English, Irish and Foreign
Airs* (1778 on), *Ryan's Mammoth Collection* (1883), Francis O'Neill, *Music of Ireland* (1903).
Their ABC transcriptions and the scores of the chorales ship with music21.

Only tunes in one of ``shared.tunes.controls.METERS`` whose bars add up are kept. Repeats are played
once, with their last ending; grace notes are left out; every tune is transposed to C.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from shared.tunes.controls import ANY, METERS, MODES
from training.music_pieces import TICKS, Tune, Unsuitable, bar_ticks

BOOKS = ("airdsAirs", "ryansMammoth", "oneills1850")
MELODY_CENTRE, CHORALE_CENTRE = 70, 62  # mean MIDI pitches after transposition


def read_books(left_out: Counter[str], *, workers: int = 2) -> Iterator[Tune]:
    """Yield every suitable tune and chorale; count the others in ``left_out`` by reason."""
    from music21 import corpus
    from tqdm import tqdm

    root = Path(corpus.__file__).parent
    jobs = [("abc", book, text) for book in BOOKS for text in _abc_tunes(root / book)]
    jobs += [("chorale", "bach", str(path)) for path in sorted((root / "bach").glob("*.mxl"))]
    with ProcessPoolExecutor(workers, initializer=_be_nice) as pool:
        for result in tqdm(pool.map(_read_one, jobs, chunksize=40), total=len(jobs), desc="tunes"):
            if isinstance(result, Tune):
                yield result
            else:
                left_out[result] += 1


def _be_nice() -> None:
    """Lower the priority of the process, where the system supports it."""
    if hasattr(os, "nice"):
        os.nice(10)


def _abc_tunes(folder: Path) -> Iterator[str]:
    """Yield the text of every tune in the ABC files of ``folder``."""
    for path in sorted(folder.glob("*.abc")):
        text = path.read_text(encoding="utf-8", errors="replace").replace("\r", "")
        yield from (part for part in re.split(r"(?m)^(?=X:)", text) if part.startswith("X:"))


def _read_one(job: tuple[str, str, str]) -> Tune | str:
    """Read one tune; return the reason instead if it is unsuitable."""
    kind, book, source = job
    try:
        return _read_abc(book, source) if kind == "abc" else _read_chorale(Path(source))
    except Unsuitable as reason:
        return str(reason)
    except Exception as error:
        # Hand-typed ABC makes music21 fail in many ways; losing a few percent is acceptable.
        return f"parser: {type(error).__name__}"


def _read_abc(book: str, text: str) -> Tune:
    """Read one tune in ABC notation."""
    from music21 import converter, key

    score: Any = converter.parse(text, format="abc")
    part = score.parts[0]
    meter = _meter_of(part)
    keys = list(part.recurse().getElementsByClass(key.Key))
    if not keys or keys[0].mode.capitalize() not in MODES:
        raise Unsuitable("no usable key")
    notes = _part_notes(part)
    title = _field(text, "T")
    style = abc_style(book, int(_field(text, "X") or 0), _field(text, "R"), title, meter)
    if meter == "2/4" and style in ("Reel", "Hornpipe") and np.median(notes[:, 1]) <= TICKS // 4:
        # Ryan writes in sixteenths what the other books write in eighths.
        notes[:, :2] *= 2
        meter = "4/4"
    return Tune(
        title=title,
        style=style,
        mode=keys[0].mode.capitalize(),
        meter=meter,
        notes=_to_c(notes, keys[0].tonic.pitchClass, MELODY_CENTRE),
    )


def _field(text: str, letter: str) -> str:
    """Return the first value of an ABC header field, without a comment."""
    match = re.search(rf"(?m)^{letter}:\s*([^%\n]*)", text)
    return match[1].strip() if match else ""


def abc_style(book: str, number: int, rhythm: str, title: str, meter: str) -> str:
    """Return the style of a tune by its rhythm field, else chapter, else title, else meter.

    O'Neill's chapters run by number: airs to 700, jigs to 1115, slip jigs to 1175, reels to 1555,
    hornpipes to 1780. The meter is used for Aird's tunes only, which are nearly all dances.
    A jig that is not in 6/8 time and a slip jig that is not in 9/8 get no label.
    """
    chapters = ((700, "Air"), (1115, "Jig"), (1175, "SlipJig"), (1555, "Reel"), (1780, "Hornpipe"))
    chapter = ANY
    if book == "oneills1850":
        chapter = next((style for last, style in chapters if number <= last), ANY)
    by_meter = {"6/8": "Jig", "9/8": "SlipJig"} if book == "airdsAirs" else {}
    style = _style_word(rhythm) or chapter
    if style == ANY:
        style = _style_word(title) or by_meter.get(meter, ANY)
    needed = {"Jig": "6/8", "SlipJig": "9/8", "Reel": "4/4 2/4", "Hornpipe": "4/4 2/4"}
    return style if meter in needed.get(style, meter) else ANY


def _style_word(text: str) -> str | None:
    """Return the style that a rhythm field or a title names."""
    patterns = (
        (r"slip ?jig", "SlipJig"), (r"\bjigg?\b", "Jig"), (r"strathspey|fling", "Strathspey"),
        (r"\breel\b", "Reel"), (r"hornpipe|\bclog\b", "Hornpipe"),
        (r"\bmarch\b|quick ?step", "March"), (r"\bair\b|song|lament|lullaby|planxty", "Air"),
    )  # fmt: skip
    lowered = text.lower()
    return next((style for pattern, style in patterns if re.search(pattern, lowered)), None)


def _read_chorale(path: Path) -> Tune:
    """Read a four-part chorale; other works by Bach are unsuitable."""
    from music21 import converter

    score: Any = converter.parse(path)
    parts = list(score.parts)
    if len(parts) != 4:
        raise Unsuitable("not in four parts")
    notes = np.unique(np.concatenate([_part_notes(part) for part in parts]), axis=0)
    if notes[:, 0].max() > 60 * 4 * TICKS:
        raise Unsuitable("too long for a chorale")
    key = score.analyze("key")
    return Tune(
        title=score.metadata.title or path.stem,
        style="Chorale",
        mode=key.mode.capitalize(),
        meter=_meter_of(parts[0]),
        notes=_to_c(notes, key.tonic.pitchClass, CHORALE_CENTRE),
    )


def _meter_of(part: Any) -> str:
    """Return the meter of a music21 part; cut time counts as 4/4."""
    from music21 import meter

    found = {s.ratioString for s in part.recurse().getElementsByClass(meter.TimeSignature)}
    if found == {"2/2"}:
        found = {"4/4"}
    if len(found) != 1 or not found <= set(METERS):
        raise Unsuitable("meter")
    return str(found.pop())


def _part_notes(part: Any) -> np.ndarray:
    """Return rows of onset, duration and pitch of a music21 part, bars lined up.

    A short first bar is a pickup: it ends where the first full bar starts. If later bars do not add
    up, the tune is unsuitable, because its bar lines are unreliable.
    """
    from music21 import harmony, spanner, stream

    first_endings = {
        id(measure)
        for bracket in part.recurse().getElementsByClass(spanner.RepeatBracket)
        if str(bracket.number) == "1"
        for measure in bracket.getSpannedElements()
    }
    measures = [m for m in part.getElementsByClass(stream.Measure) if id(m) not in first_endings]
    full = bar_ticks(_meter_of(part))
    rows: list[list[int]] = []
    now = 0
    for index, measure in enumerate(measures):
        length = round(measure.duration.quarterLength * TICKS)
        if index == 0 and length < full:
            now = full - length
        if length > full or now % full + length > full:
            raise Unsuitable("bars do not add up")
        for element in measure.flatten().notes:
            if isinstance(element, harmony.ChordSymbol) or element.duration.isGrace:
                continue
            onset = now + round(element.offset * TICKS)
            duration = round(element.duration.quarterLength * TICKS)
            for pitch in element.pitches:
                _add(rows, onset, duration, pitch.midi, element.tie)
        now += length
    if len(rows) < 16:
        raise Unsuitable("too short")
    return np.array(sorted(rows), dtype=np.int32)


def _add(rows: list[list[int]], onset: int, duration: int, pitch: int, tie: Any) -> None:
    """Append a note, or lengthen the one that is tied to it."""
    if tie is not None and tie.type in ("stop", "continue"):
        for row in reversed(rows[-4:]):
            if row[2] == pitch and row[0] + row[1] == onset:
                row[1] += duration
                return
    if duration > 0:
        rows.append([onset, duration, pitch])


def _to_c(notes: np.ndarray, tonic: int, centre: int) -> np.ndarray:
    """Transpose to C, in the octave whose mean pitch is nearest to ``centre``."""
    octaves = round((centre - notes[:, 2].mean() + tonic) / 12)
    return notes + np.array([0, 0, 12 * octaves - tonic], dtype=np.int32)
