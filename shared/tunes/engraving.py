"""MusicXML to pictures of the score, drawn by Verovio (RISM Digital Center, LGPL-3)."""

from __future__ import annotations

import threading

from shared.errors import GalleryError

NARROWEST, WIDEST = 240, 1600  # pixels
SMALL = 600  # below this width, staves are smaller
SCALE, SMALL_SCALE = 45, 38  # percent; at 100, a staff is 72 pixels high
PAGE_HEIGHT = 1200  # pixels that a page has at most
_lock = threading.Lock()  # Verovio is not made for threads


def engrave(musicxml: str, width: int) -> str:
    """Draw a score for a place ``width`` pixels wide.

    Returns:
        A ``<svg>`` for each page, below one another, in the text's colour. They scale with their
        place and bring their own font; a note has the id that it has in ``musicxml``.

    Raises:
        GalleryError: Verovio is missing, or cannot draw this.
    """
    try:
        import verovio
    except ImportError as error:
        raise GalleryError(
            "Sheet music is drawn by the package verovio, which is missing here. "
            "Install it with: pip install verovio==6.4.1"
        ) from error

    width = min(max(width, NARROWEST), WIDEST)
    scale = SMALL_SCALE if width < SMALL else SCALE
    options = {
        "scale": scale,
        "pageWidth": width * 100 // scale,
        "pageHeight": PAGE_HEIGHT * 100 // scale,
        "adjustPageHeight": True,
        "pageMarginLeft": 20,
        "pageMarginRight": 20,
        "footer": "none",
        "svgViewBox": True,
        "svgRemoveXlink": True,
        "svgFormatRaw": True,
    }
    with _lock:
        verovio.enableLog(verovio.LOG_OFF)
        toolkit = verovio.toolkit()
        toolkit.setOptions(options)
        if not toolkit.loadData(musicxml):
            raise GalleryError("This piece cannot be drawn as sheet music; its notes still play.")
        pages = [toolkit.renderToSVG(page) for page in range(1, toolkit.getPageCount() + 1)]
    return "".join(pages).replace(' color="black"', "")
