"""Finds the installed SoundFont, and unpacks compressed ones."""

from __future__ import annotations

import importlib.util
import io
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from shared.errors import GalleryError

# A sample's header: name, start, end, loop's start and end, rate, pitch, correction, link, type.
_SAMPLE = struct.Struct("<20sIIIIIBbHH")
_COMPRESSED = 0x10  # flag in the type
_GAP = 46  # silent frames after each sample


def find_soundfont() -> Path:
    """Return the path of the General MIDI SoundFont inside the installed pretty_midi package.

    The package is looked up, not imported: only its file is needed.

    Raises:
        GalleryError: The package or the file is missing.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec and spec.origin:
        path = Path(spec.origin).with_name("TimGM6mb.sf2")
        if path.is_file():
            return path
    raise GalleryError(
        "The SoundFont TimGM6mb.sf2 is missing, so notes cannot be turned into sound. "
        "Install it with: pip install pretty_midi==0.2.11.post0"
    )


@lru_cache(2)
def read_soundfont(path: Path) -> bytes:
    """Return a SoundFont in format 2 (.sf2), which synthesizers can read.

    Format 3 (.sf3) is the same with each sample as Ogg Vorbis; its samples are decoded.

    Raises:
        GalleryError: It cannot be read.
    """
    import soundfile

    try:
        data = path.read_bytes()
        return _unpack(data) if _is_compressed(data) else data
    except (OSError, KeyError, ValueError, struct.error, soundfile.LibsndfileError) as error:
        raise GalleryError(explain_damage(path)) from error


def explain_damage(path: Path) -> str:
    """Return the message for a SoundFont that cannot be read."""
    return (
        f"The SoundFont {path.name} cannot be read: it is damaged, or no .sf2 or .sf3 "
        "file. Whoever runs the gallery can name another one in GALLERY_SOUNDFONT."
    )


def _is_compressed(data: bytes) -> bool:
    return any(kind & _COMPRESSED for *_, kind in _SAMPLE.iter_unpack(_lists(data)["pdta"]["shdr"]))


def _unpack(data: bytes) -> bytes:
    import soundfile

    lists = _lists(data)
    packed = lists["sdta"]["smpl"]
    frames: list[np.ndarray] = []
    headers: list[bytes] = []
    place = 0
    for header in _SAMPLE.iter_unpack(lists["pdta"]["shdr"]):
        name, start, end, loop_start, loop_end, *rest, kind = header
        if kind & _COMPRESSED:  # loop points are relative to the start of the sample
            sample, _ = soundfile.read(io.BytesIO(packed[start:end]), dtype="int16")
        else:
            sample = np.frombuffer(packed[2 * start : 2 * end], "<i2")
            loop_start, loop_end = loop_start - start, loop_end - start
        where = (place, place + len(sample), place + loop_start, place + loop_end)
        headers.append(_SAMPLE.pack(name, *where, *rest, kind & ~_COMPRESSED))
        frames += [sample, np.zeros(_GAP, np.int16)]
        place += len(sample) + _GAP
    lists["sdta"] = {"smpl": np.concatenate(frames).astype("<i2").tobytes()}
    lists["pdta"]["shdr"] = b"".join(headers)
    lists["INFO"]["ifil"] = struct.pack("<HH", 2, 1)
    chunks = (
        _chunk("LIST", name.encode() + b"".join(_chunk(*one) for one in content.items()))
        for name, content in lists.items()
    )
    return _chunk("RIFF", b"sfbk" + b"".join(chunks))


def _lists(data: bytes) -> dict[str, dict[str, bytes]]:
    """Return the chunks of the three lists INFO, sdta and pdta."""
    return {
        body[:4].decode("ascii"): dict(_chunks(body[4:]))
        for name, body in _chunks(data[12:])
        if name == "LIST"
    }


def _chunks(data: bytes) -> Iterator[tuple[str, bytes]]:
    place = 0
    while place + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, place)
        yield name.decode("ascii"), data[place + 8 : place + 8 + size]
        place += 8 + size + size % 2


def _chunk(name: str, body: bytes) -> bytes:
    return name.encode() + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
