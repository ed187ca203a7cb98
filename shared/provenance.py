"""Files that say what they are: the recipe, and that a machine made them, inside the file.

The recipe is JSON in a PNG text chunk; XMP metadata carry the IPTC term for what generative models
make, ``trainedAlgorithmicMedia``, which picture agencies and search engines read
(https://cv.iptc.org/newscodes/digitalsourcetype/). In WAV and MIDI files the recipe is a comment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image, PngImagePlugin

if TYPE_CHECKING:
    from symusic import Score

RECIPE_KEY = "generative-gallery"
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
    """Write ``picture`` as PNG with its recipe in it.

    Args:
        picture: Its own metadata, such as EXIF, are left out.
        file: Where to.
        recipe: Plain JSON values.
        source: ``MADE``, or ``CHANGED`` where a visitor's own picture is part of it.
    """
    info = PngImagePlugin.PngInfo()
    info.add_itxt(RECIPE_KEY, json.dumps(recipe, ensure_ascii=False))
    info.add_itxt("XML:com.adobe.xmp", _XMP % source)
    picture.save(file, "PNG", pnginfo=info, exif=b"")


def save_wav(
    sound: np.ndarray, sample_rate: int, file: Path, recipe: Mapping[str, Any], title: str = ""
) -> None:
    """Write ``sound`` as WAV, 16 bits a sample, with its recipe in the comment.

    Args:
        sound: Shape (samples, channels), from -1 to 1.
        sample_rate: Samples a second.
        file: Where to.
        recipe: Plain JSON values.
        title: Of the piece.
    """
    import soundfile

    with soundfile.SoundFile(
        file, "w", sample_rate, sound.shape[1], subtype="PCM_16", format="WAV"
    ) as wav:
        wav.title = title
        wav.software = "Generative Gallery"
        wav.comment = _label(recipe)
        wav.write(sound)


def save_midi(score: Score, file: Path, recipe: Mapping[str, Any]) -> None:
    """Write ``score`` as a standard MIDI file with its recipe as a text of the first moment."""
    from symusic import TextMeta

    score = score.copy()
    score.markers.append(TextMeta(0, _label(recipe)))
    file.write_bytes(score.dumps_midi())


def _label(recipe: Mapping[str, Any]) -> str:
    return json.dumps({RECIPE_KEY: recipe, "digitalSourceType": MADE})


def read_recipe(path: Path) -> dict[str, Any] | None:
    """Return the recipe inside a PNG file, or None if there is none that can be read."""
    try:
        with Image.open(path) as picture:
            picture.load()  # text may stand after the pixels
            recipe = json.loads(picture.info[RECIPE_KEY])
    except (OSError, KeyError, ValueError, SyntaxError):
        return None
    return recipe if isinstance(recipe, dict) else None
