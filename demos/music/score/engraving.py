"""Draws MusicXML as SVG with Verovio (RISM Digital Center, LGPL-3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files

from shared.errors import GalleryError

NARROWEST, WIDEST = 240, 1600  # pixels
SMALL = 600  # below this width, staves are smaller
SCALE, SMALL_SCALE = 45, 38  # percent; at 100, a staff is 72 pixels high
PAGE_HEIGHT = 60_000  # Verovio's maximum; pages are cropped to their content
# Verovio loads its fonts once per thread, so a single thread draws everything.
_engraver = ThreadPoolExecutor(1, "engraver")


def engrave(musicxml: str, width: int) -> str:
    """Draw a score ``width`` pixels wide.

    Returns:
        One ``<svg>`` per page, in the colour of the surrounding text. They scale with their
        container and include their font; notes keep the ids that they have in ``musicxml``.

    Raises:
        GalleryError: Verovio is missing, or cannot draw this.
    """
    return _engraver.submit(_draw, musicxml, min(max(width, NARROWEST), WIDEST)).result()


def _draw(musicxml: str, width: int) -> str:
    try:
        import verovio
    except ImportError as error:
        raise GalleryError(
            "Sheet music is drawn by the package verovio, which is missing here. "
            "Install it with: pip install verovio==6.4.1"
        ) from error

    scale = SMALL_SCALE if width < SMALL else SCALE
    verovio.enableLog(verovio.LOG_OFF)
    toolkit = verovio.toolkit(False)
    toolkit.setResourcePath(str(files(verovio) / "data"))
    toolkit.setOptions(
        {
            "scale": scale,
            "pageWidth": width * 100 // scale,
            "pageHeight": PAGE_HEIGHT,
            "adjustPageHeight": True,
            "pageMarginLeft": 20,
            "pageMarginRight": 20,
            "footer": "none",
            "svgViewBox": True,
            "svgRemoveXlink": True,
            "svgFormatRaw": True,
        }
    )
    if not toolkit.loadData(musicxml):
        raise GalleryError("This piece cannot be drawn as sheet music; its notes still play.")
    pages = [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]
    return "".join(pages).replace(' color="black"', "")
