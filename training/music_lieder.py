"""Reads the songs for voice and piano of the OpenScore Lieder Corpus, which is CC0.

    python -m training.music_lieder [--data PATH]

reads the compressed MusicXML files (``*.mxl``) in PATH, a folder or a zip file, and prints
statistics. The files are in the folder ``scores`` of https://github.com/OpenScore/Lieder;
``python -m training.get_data lieder`` copies them to the default path,
``.cache/training/music/lieder``.

Only the parts of MusicXML (https://www.w3.org/2021/06/musicxml40/) that notes need are read:
durations, chords, ties, voices (``backup`` and ``forward``), key, meter, tempo. music21 takes a
hundred times as long.
"""

from __future__ import annotations

import argparse
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from shared.tunes.controls import METERS
from training.common import DATA_CACHE
from training.music_pieces import TICKS, Tune, Unsuitable, bar_ticks, join_ties, tell_mode

SOURCE = DATA_CACHE / "music" / "lieder"
SINGERS = re.compile(
    r"voice|gesang|sing|stimme|chant|voix|canto|sopran|alto|tenor|bar[iy]ton", re.I
)
PIANOS = re.compile(r"piano|klavier|pianoforte|harp", re.I)
STEPS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
LOWEST, HIGHEST = 24, 96  # MIDI pitches in C; notes outside are moved by octaves
MOST_NOTES = 24  # per bar on average; in denser songs most notes are the piano's


_Row = tuple[
    int, int, int, bool
]  # onset, duration, pitch, and whether it is tied to the note before


def read_lieder(source: Path, left_out: Counter[str]) -> Iterator[Tune]:
    """Yield all suitable songs; count the others in ``left_out`` by reason.

    Raises:
        FileNotFoundError: There is no ``*.mxl`` in ``source``.
    """
    found = False
    for name, data in _files(source):
        found = True
        try:
            yield read_lied(name, data)
        except Unsuitable as reason:
            left_out[f"lied: {reason}"] += 1
    if not found:
        raise FileNotFoundError(f"no *.mxl in {source}; see training/music_lieder.py")


def _files(source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield names, such as ``composer/cycle/song/file.mxl``, and contents in a stable order."""
    if source.is_file():
        with zipfile.ZipFile(source) as archive:
            for name in sorted(archive.namelist()):
                if name.endswith(".mxl"):
                    yield name, archive.read(name)
        return
    # Sort by string, as in a zip file; Path objects would compare part by part.
    for path in sorted(source.rglob("*.mxl"), key=Path.as_posix):
        yield path.relative_to(source).as_posix(), path.read_bytes()


def read_lied(name: str, data: bytes) -> Tune:
    """Read one song.

    Args:
        name: Path of the file; its last folders are composer, cycle (``_`` for none) and song.
        data: The compressed MusicXML.

    Raises:
        Unsuitable: It is not for one voice and piano, or its bars are unclear.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        [inner] = [n for n in archive.namelist() if n.endswith("xml") and "META-INF" not in n]
        root = ElementTree.fromstring(archive.read(inner))
    voice_part, piano_part = _choose_parts(root)
    meter = _meter(root)
    voice, piano = _read_notes([voice_part, piano_part], bar_ticks(meter))
    if min(len(voice), len(piano)) < 16:
        raise Unsuitable("too short")
    bars = int(max(voice[-1, 0], piano[-1, 0])) // bar_ticks(meter) + 1
    if (len(voice) + len(piano)) / bars > MOST_NOTES:
        raise Unsuitable("too many notes")
    tonic, mode = _key(root, voice, piano)
    shift = -tonic if tonic <= 6 else 12 - tonic
    *_, composer, cycle, song, _ = name.split("/")
    return Tune(
        title=song.replace("_", " "),
        style="Lied",
        mode=mode,
        meter=meter,
        notes=_move(piano, shift),
        voice=_move(voice, shift),
        tempo=_tempo(root),
        group=f"{composer}/{song if cycle == '_' else cycle}",
    )


def _choose_parts(root: ElementTree.Element) -> tuple[ElementTree.Element, ElementTree.Element]:
    """Return the voice part and the piano part. Raises Unsuitable if there are others."""
    names = [part.findtext("part-name") or "" for part in root.iter("score-part")]
    parts = root.findall("part")
    if len(parts) != 2 or not SINGERS.search(names[0]) or not PIANOS.search(names[1]):
        raise Unsuitable("not for one voice and piano")
    return parts[0], parts[1]


def _meter(root: ElementTree.Element) -> str:
    """Return the only meter; cut time counts as 4/4."""
    found = {f"{t.findtext('beats')}/{t.findtext('beat-type')}" for t in root.iter("time")}
    found = {"4/4" if meter == "2/2" else meter for meter in found}
    if len(found) != 1 or not found <= set(METERS):
        raise Unsuitable("meter")
    return found.pop()


def _read_notes(parts: Sequence[ElementTree.Element], full: int) -> list[np.ndarray]:
    """Return rows of onset, duration (ticks) and MIDI pitch of each part, bars lined up.

    A short first bar is a pickup. Repeats are played once, with their last ending.
    """
    read: list[list[_Row]] = [[] for _ in parts]
    scales = [Fraction(TICKS) for _ in parts]
    skipped, now = False, 0
    columns = list(zip(*(part.findall("measure") for part in parts), strict=False))
    for index, measures in enumerate(columns):
        endings = {(e.get("number"), e.get("type")) for m in measures for e in m.iter("ending")}
        skipped = skipped or ("1", "start") in endings
        lengths, found = list[int](), list[list[_Row]]()
        for number, measure in enumerate(measures):
            divisions = measure.findtext("attributes/divisions")
            if divisions:
                scales[number] = Fraction(TICKS, int(divisions))
            rows, length = _read_measure(measure, scales[number])
            found.append(rows)
            lengths.append(length)
        measured = max(lengths)
        if not skipped:
            if index == 0 and measured < full:
                now = full - measured
            if measured > full or now % full + measured > full:
                raise Unsuitable("bars do not add up")
            for part, rows in zip(read, found, strict=True):
                part += [(now + on, length, pitch, tied) for on, length, pitch, tied in rows]
            now += measured
        if {("1", "stop"), ("1", "discontinue")} & endings:
            skipped = False
    return [join_ties(rows) for rows in read]


def _read_measure(measure: ElementTree.Element, scale: Fraction) -> tuple[list[_Row], int]:
    """Return the notes of one measure of one part, from its start, and its length in ticks."""
    rows: list[_Row] = []
    now = onset = end = Fraction(0)
    for element in measure:
        length = Fraction(int(element.findtext("duration") or 0)) * scale
        if element.tag == "backup":
            now -= length
        elif element.tag == "forward":
            now += length
        elif element.tag == "note" and element.find("grace") is None:
            if element.find("chord") is None:
                onset = now
                now += length
            pitch = element.find("pitch")
            if pitch is not None and length > 0 and element.find("cue") is None:
                tied = any(tie.get("type") == "stop" for tie in element.findall("tie"))
                rows.append((round(onset), max(1, round(length)), _midi(pitch), tied))
        end = max(end, now)
    return rows, round(end)


def _midi(pitch: ElementTree.Element) -> int:
    """Return the MIDI pitch of a ``pitch`` element."""
    alter = round(float(pitch.findtext("alter") or 0))
    octave = int(pitch.findtext("octave") or 4)
    return 12 * (octave + 1) + STEPS[pitch.findtext("step") or "C"] + alter


def _key(root: ElementTree.Element, voice: np.ndarray, piano: np.ndarray) -> tuple[int, str]:
    """Return the key note, 0 to 11, and the mode: one of the two keys of the signature."""
    fifths = root.findtext(".//key/fifths")
    if fifths is None:
        raise Unsuitable("no key signature")
    major = int(fifths) * 7 % 12
    return tell_mode(np.concatenate([voice, piano]), major)


def _tempo(root: ElementTree.Element) -> int:
    """Return the first tempo in quarter notes per minute, 0 if there is none."""
    marks = (sound.get("tempo") for sound in root.iter("sound"))
    return round(float(next((mark for mark in marks if mark), 0)))


def _move(notes: np.ndarray, shift: int) -> np.ndarray:
    """Transpose by ``shift`` semitones, then by octaves into the range of the tokens."""
    moved = notes + np.array([0, 0, shift], dtype=np.int32)
    pitch = moved[:, 2]
    pitch += 12 * (np.maximum(0, LOWEST - pitch + 11) // 12)
    pitch -= 12 * (np.maximum(0, pitch - HIGHEST + 11) // 12)
    return np.unique(moved, axis=0)


def main() -> None:
    """Print statistics of the corpus, and what is left out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SOURCE, help="folder or zip file of *.mxl")
    left_out: Counter[str] = Counter()
    songs = list(read_lieder(parser.parse_args().data, left_out))
    notes = sum(len(song.notes) + len(song.voice) for song in songs)
    print(f"{len(songs)} songs, {notes} notes, {len({song.group for song in songs})} groups")
    print("left out:", dict(left_out.most_common()))
    for values in (
        Counter(song.mode for song in songs),
        Counter(song.meter for song in songs),
    ):
        print(values.most_common())


if __name__ == "__main__":
    main()
