"""The piece on the stand as sheet music, drawn when one opens it."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from demos.music.piece import Piece
from demos.music.recording import name_file
from demos.music.tabs.controls import ASK
from shared.errors import GalleryError, InvalidRequest
from shared.tunes.engraving import engrave
from shared.tunes.musicxml import write_musicxml
from shared.ui import new_file

MOST_BARS = 200  # so many bars of a song take two seconds to draw
# The page knows how wide the place is; the server has the piece.
_MEASURE = "(piece) => [piece, document.querySelector('.sheet').clientWidth - 34]"


def create_sheet(piece: gr.State) -> Callable[[Any], None]:
    """Add the view to the current place, closed.

    Returns:
        To be called with each event after which another piece is complete.
    """
    with gr.Accordion("Sheet music", open=False, elem_classes="sheet") as view:
        drawn = gr.HTML("", padding=False)
        file = gr.DownloadButton("Download sheet music (MusicXML)", size="sm", interactive=False)
    width = gr.Number(0, visible=False)
    is_open = gr.State(False)

    def draw(made: Piece | None, width: float) -> dict[Any, Any]:
        if made is None or not made.is_saved:
            told = "A tune is written down as soon as it is complete."
            return {drawn: _say(told), file: gr.update(interactive=False), is_open: True}
        try:
            score = write_musicxml(made.step.arrangement, made.step.controls)
        except InvalidRequest as error:
            return {drawn: _say(str(error)), file: gr.update(interactive=False), is_open: True}
        path = new_file(f"{name_file(made.step, max(made.seed, 0))}.musicxml")
        path.write_text(score, encoding="utf-8")
        return {
            drawn: show_sheet(made, score, width),
            file: gr.update(value=str(path), interactive=True),
            is_open: True,
        }

    def redraw(made: Piece | None, width: float, is_open: bool) -> dict[Any, Any]:
        return draw(made, width) if is_open else {drawn: ""}

    outcome = [drawn, file, is_open]
    view.expand(draw, [piece, width], outcome, js=_MEASURE, **ASK)
    view.collapse(lambda: ("", False), None, [drawn, is_open], **ASK)
    return lambda event: event.then(redraw, [piece, width, is_open], outcome, **ASK)


def show_sheet(piece: Piece, score: str, width: float) -> str:
    """Draw ``score``, the MusicXML of ``piece``, ``width`` pixels wide, or say why not."""
    bars = len(piece.step.bars)
    try:
        if bars > MOST_BARS:
            raise InvalidRequest(
                f"This piece has {bars} bars, and up to {MOST_BARS} are drawn here. The file has "
                "all of them, for a notation program such as MuseScore."
            )
        pages = engrave(score, int(width or 0))
    except GalleryError as error:
        return _say(str(error))
    words = html.escape(f"Sheet music, {bars} bars", quote=True)
    return f'<div class="sheet-pages" role="img" aria-label="{words}">{pages}</div>'


def _say(text: str) -> str:
    return f'<p class="sheet-said">{html.escape(text)}</p>'
