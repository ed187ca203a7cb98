"""Reads and writes the recipe inside PNG, WAV, FLAC, GIF, MP4, MIDI and JSON files.

The recipe is JSON text in the format's own comment or text field, so that other programs show it.
``read_recipe`` finds it in any of them.

PNG files also have XMP metadata with the IPTC digital source type ``trainedAlgorithmicMedia``, by
which picture agencies and search engines recognise generated pictures
(https://cv.iptc.org/newscodes/digitalsourcetype/).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from av.container import OutputContainer
    from soundfile import SoundFile
    from symusic.core import ScoreTick

RECIPE_KEY = "generative-gallery"
# Longest comment in UTF-8 bytes: libsndfile reads no longer one in a WAV file; in FLAC it does.
WAV_BYTES = 2045
SHORT_TEXT = 80  # characters kept of a text that makes a recipe too long
JSON_BYTES = 10_000_000  # a larger JSON file is not from the gallery
_XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
   Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/%s"/>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
MADE, CHANGED = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"


def save_png(
    picture: Image.Image,
    file: Path | BinaryIO,
    recipe: Mapping[str, Any],
    *,
    source: str = MADE,
) -> None:
    """Write ``picture`` as PNG with its recipe in a text chunk.

    Args:
        picture: Its own metadata, such as EXIF, are not written.
        file: Path or open file.
        recipe: JSON values.
        source: ``MADE``, or ``CHANGED`` if a visitor's own picture is part of it.
    """
    info = PngImagePlugin.PngInfo()
    info.add_itxt(RECIPE_KEY, json.dumps(recipe, ensure_ascii=False))
    info.add_itxt("XML:com.adobe.xmp", _XMP % source)
    picture.save(file, "PNG", pnginfo=info, exif=b"")


def add_to_sound(file: SoundFile, recipe: Mapping[str, Any]) -> None:
    """Make ``recipe`` the comment of a WAV or FLAC file; to be called before writing samples.

    For WAV, the longest texts of its settings are shortened until it fits into ``WAV_BYTES``.
    """
    text = json.dumps(recipe, ensure_ascii=False)
    if file.format == "WAV":
        settings = dict(recipe.get("settings", {}))
        while len(text.encode()) > WAV_BYTES:
            texts = {name: value for name, value in settings.items() if isinstance(value, str)}
            name = max(texts, key=lambda one: len(texts[one]), default="")
            if len(texts.get(name, "")) <= SHORT_TEXT:
                break
            settings[name] = texts[name][: SHORT_TEXT - 2] + " …"
            text = json.dumps({**recipe, "settings": settings}, ensure_ascii=False)
    file.comment = text


def make_gif_comment(recipe: Mapping[str, Any]) -> bytes:
    """Return ``recipe`` as the comment of a GIF file, which is ASCII."""
    return json.dumps(recipe).encode("ascii")


def add_to_film(film: OutputContainer, recipe: Mapping[str, Any]) -> None:
    """Make ``recipe`` the comment of an MP4 file; to be called before writing frames."""
    film.metadata["comment"] = json.dumps(recipe, ensure_ascii=False)


def add_to_score(score: ScoreTick, recipe: Mapping[str, Any]) -> None:
    """Make ``recipe`` a marker at the beginning of a score, which is saved as MIDI."""
    from symusic import TextMeta

    score.markers.append(TextMeta(0, json.dumps(recipe, ensure_ascii=False)))


def read_recipe(path: Path) -> dict[str, Any] | None:
    """Return the recipe inside a file, or None if no recipe can be read.

    The format is detected from the first bytes. A JSON file is either a recipe or, as written by
    the text room's page, an object with a ``recipe``.
    """
    try:
        with path.open("rb") as file:
            start = file.read(12)
        recipe = json.loads(_read_text(path, start))
    except Exception:  # the libraries raise a dozen types for a bad file
        return None
    if isinstance(recipe, dict) and not start.startswith(tuple(_READERS)):
        recipe = recipe.get("recipe", recipe if "seed" in recipe else None)
    return recipe if isinstance(recipe, dict) else None


def _read_text(path: Path, start: bytes) -> str:
    """Return the JSON text of a file that begins with ``start``."""
    if start[4:8] == b"ftyp":
        return _read_mp4(path)
    for magic, read in _READERS.items():
        if start.startswith(magic):
            return read(path)
    if path.stat().st_size > JSON_BYTES:
        raise ValueError("too large")
    return path.read_text(encoding="utf-8")


def _read_png(path: Path) -> str:
    with Image.open(path, formats=["PNG"]) as picture:
        picture.load()  # text chunks may follow the pixels
        return str(picture.info[RECIPE_KEY])


def _read_gif(path: Path) -> str:
    with Image.open(path, formats=["GIF"]) as film:
        return bytes(film.info["comment"]).decode()


def _read_wav(path: Path) -> str:
    """Find the comment (ICMT in LIST INFO). Older versions wrote longer ones than WAV_BYTES."""
    with path.open("rb") as file:
        file.seek(12)
        while (header := file.read(8))[4:]:
            size = int.from_bytes(header[4:], "little")
            end = file.tell() + size + size % 2
            if header[:4] == b"LIST" and file.read(4) == b"INFO":
                continue  # with its first subchunk
            if header[:4] == b"ICMT":
                return file.read(min(size, JSON_BYTES)).rstrip(b"\0").decode()
            file.seek(end)
    raise ValueError("no comment")


def _read_flac(path: Path) -> str:
    import soundfile

    with soundfile.SoundFile(path) as file:
        return str(file.comment)


def _read_mp4(path: Path) -> str:
    import av

    with av.open(str(path)) as film:
        return film.metadata["comment"]


def _read_midi(path: Path) -> str:
    # symusic is faster, but crashes the process on some damaged files.
    from mido import MidiFile

    tracks = MidiFile(path, charset="utf-8", clip=True).tracks
    return str(next(one.text for track in tracks for one in track if one.type == "marker"))


_READERS = {
    b"\x89PNG": _read_png,
    b"GIF8": _read_gif,
    b"RIFF": _read_wav,
    b"fLaC": _read_flac,
    b"MThd": _read_midi,
}
