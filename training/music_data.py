"""Training data: three tune books, Bach's chorales, and songs for voice and piano.

    python -m training.music_data [--data PATH]

reads all pieces and prints statistics. The sources are described in ``training/music_books.py`` and
``training/music_lieder.py``; PATH is a copy of the songs. The first run takes some minutes; its
result is cached in ``.cache/training/music``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from training.common import DATA_CACHE
from training.music_books import read_books
from training.music_lieder import SOURCE, read_lieder
from training.music_pieces import TICKS, Tune, bar_ticks

CACHE = DATA_CACHE / "music"
HOLD_OUT_EVERY = 20
FAMILY_BEATS, FAMILY_SHARE = 6, 0.3


def load_tunes(lieder: Path = SOURCE, *, cache: Path = CACHE) -> tuple[list[Tune], Counter[str]]:
    """Return all pieces and how many were left out, by reason; cached after the first call.

    The cache does not depend on ``lieder``: other songs need another ``cache``, or an empty one.

    Args:
        lieder: Folder or zip file of the OpenScore Lieder Corpus.
        cache: Folder of the cache.
    """
    left_out: Counter[str] = Counter()
    books = _cached(cache / "books.npz", read_books, left_out)
    songs = _cached(cache / "lieder.npz", lambda found: read_lieder(lieder, found), left_out)
    return [*books, *songs], left_out


def _cached(
    path: Path, read: Callable[[Counter[str]], Iterator[Tune]], left_out: Counter[str]
) -> list[Tune]:
    """Return the pieces in ``path``; call ``read`` and write them if there is no such file."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        found: Counter[str] = Counter()
        _write(path, list(read(found)), found)
    with np.load(path, allow_pickle=False) as arrays:
        left_out.update(json.loads(str(arrays["left_out"])))
        notes = np.split(arrays["notes"], arrays["note_ends"][:-1])
        voices = np.split(arrays["voices"], arrays["voice_ends"][:-1])
        rows = zip(arrays["labels"].tolist(), notes, voices, arrays["tempi"].tolist(), strict=True)
        return [
            Tune(title, style, mode, meter, played, sung, tempo, group)
            for (title, style, mode, meter, group), played, sung, tempo in rows
        ]


def _write(path: Path, tunes: Sequence[Tune], left_out: Counter[str]) -> None:
    """Write ``tunes`` atomically as a few arrays."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez_compressed(
            file,
            notes=np.concatenate([tune.notes for tune in tunes]),
            note_ends=np.cumsum([len(tune.notes) for tune in tunes]),
            voices=np.concatenate([tune.voice for tune in tunes]),
            voice_ends=np.cumsum([len(tune.voice) for tune in tunes]),
            tempi=np.array([tune.tempo for tune in tunes]),
            labels=np.array([(t.title, t.style, t.mode, t.meter, t.group) for t in tunes]),
            left_out=json.dumps(left_out),
        )
    os.replace(partial, path)


def split_tunes(tunes: Iterable[Tune]) -> tuple[list[Tune], list[Tune]]:
    """Split into training and held-out pieces.

    Every 20th tune title is held out with all its versions, and every 20th song cycle, or song that
    is in no cycle. The books share tunes, under the same or other names. So titles are compared in
    a simplified form, and pieces that resemble a held-out piece (``find_relatives``) are not used
    at all.
    """
    tunes = list(tunes)
    chosen = set[str]()
    for kind in (True, False):
        names = sorted({_family(tune) for tune in tunes if bool(tune.group) is kind})
        chosen |= set(names[::HOLD_OUT_EVERY])
    held_out = [tune for tune in tunes if _family(tune) in chosen]
    rest = [tune for tune in tunes if _family(tune) not in chosen]
    relatives = find_relatives(rest, held_out)
    return [tune for number, tune in enumerate(rest) if number not in relatives], held_out


def _family(tune: Tune) -> str:
    """Return the group of a piece, or its simplified title."""
    return tune.group or _plain_title(tune.title)


def _plain_title(title: str) -> str:
    """Reduce a title to its words: no case, article, apostrophe or ``-- Reel`` at the end."""
    name = re.sub(r"--.*|\bthe\b|\ba\b", "", title.lower())
    return re.sub(r"[^a-z0-9]", "", name) or title


def find_relatives(tunes: Sequence[Tune], held_out: Sequence[Tune]) -> set[int]:
    """Return the numbers of ``tunes`` that resemble one of ``held_out``.

    A tune's outline is the sequence of pitch classes on its beats, in C. Two pieces are related if
    they share ``FAMILY_SHARE`` of the distinct n-grams of ``FAMILY_BEATS`` beats of the shorter
    outline, or if their first 24 notes are the same in any key and octave.
    """
    openings = {_opening(tune) for tune in held_out}
    outlines = [_outline(tune) for tune in held_out]
    owners: dict[tuple[int, ...], list[int]] = {}
    for number, outline in enumerate(outlines):
        for stretch in outline:
            owners.setdefault(stretch, []).append(number)
    related = set[int]()
    for number, tune in enumerate(tunes):
        outline = _outline(tune)
        shared = Counter(owner for stretch in outline for owner in owners.get(stretch, ()))
        alike = any(
            count >= FAMILY_SHARE * min(len(outline), len(outlines[owner]))
            for owner, count in shared.items()
        )
        if alike or _opening(tune) in openings:
            related.add(number)
    return related


def _opening(tune: Tune) -> tuple[int, ...]:
    """Return the first 24 notes as intervals, the same in every key and octave."""
    return tuple(np.diff(tune.melody[:24, 2]).tolist())


def _outline(tune: Tune) -> set[tuple[int, ...]]:
    """Return the n-grams of ``FAMILY_BEATS`` melody notes on beats, as pitch classes.

    A beat is a quarter, in compound meters a dotted quarter. N-grams of only one or two pitch
    classes are left out, because they occur everywhere.
    """
    melody = tune.melody
    beat = TICKS * 3 // 2 if tune.meter.endswith("8") else TICKS
    start = melody[0, 0] // bar_ticks(tune.meter) * bar_ticks(tune.meter)
    beats = np.arange(start, melody[-1, 0] + 1, beat)
    sounding = np.searchsorted(melody[:, 0], beats, side="right") - 1
    pitches = (melody[sounding.clip(0), 2] % 12).tolist()
    stretches = (
        tuple(pitches[first : first + FAMILY_BEATS])
        for first in range(len(pitches) - FAMILY_BEATS + 1)
    )
    return {stretch for stretch in stretches if len(set(stretch)) > 2}


def main() -> None:
    """Read everything and print statistics."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=SOURCE, help="folder or zip file of lieder")
    tunes, left_out = load_tunes(parser.parse_args().data)
    train, held_out = split_tunes(tunes)
    print(f"{len(train)} training pieces, {len(held_out)} held out")
    print("left out:", dict(left_out.most_common()))
    for values in ([t.style for t in tunes], [t.mode for t in tunes], [t.meter for t in tunes]):
        print(Counter(values).most_common())


if __name__ == "__main__":
    main()
