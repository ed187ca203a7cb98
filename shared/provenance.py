"""Pictures that say what they are: the recipe, and that a machine made them, inside the file.

The recipe is JSON in a PNG text chunk; XMP metadata carry the IPTC term for what generative models
make, ``trainedAlgorithmicMedia``, which picture agencies and search engines read
(https://cv.iptc.org/newscodes/digitalsourcetype/).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, PngImagePlugin

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


def read_recipe(path: Path) -> dict[str, Any] | None:
    """Return the recipe inside a PNG file, or None if there is none that can be read."""
    try:
        with Image.open(path) as picture:
            picture.load()  # text may stand after the pixels
            recipe = json.loads(picture.info[RECIPE_KEY])
    except (OSError, KeyError, ValueError, SyntaxError):
        return None
    return recipe if isinstance(recipe, dict) else None
