"""The piece as sheet music, drawn when the accordion is opened."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

import gradio as gr

from demos.music.piece import Piece
from demos.music.recording import name_file
from demos.music.score.engraving import engrave
from demos.music.score.musicxml import write_musicxml
from shared.errors import GalleryError, InvalidRequest
from shared.ui.events import QUEUED
from shared.ui.files import new_file

MOST_BARS = 200  # a song of this length takes two seconds to draw
_MEASURE = "() => document.querySelector('.sheet').clientWidth - 34"  # inside its padding


def create_sheet(piece: gr.State) -> Callable[[Any], None]:
    """Add the view to the current block, closed.

    Returns:
        A function to call with each event that completes a piece: the score is drawn after it.
    """
    with gr.Accordion("Sheet music", open=False, elem_classes="sheet") as view:
        drawn = gr.HTML("", padding=False)
        file = gr.DownloadButton("Download sheet music (MusicXML)", size="sm", interactive=False)
    measured = gr.Number(0, visible=False)
    open_width = gr.State(0.0)  # pixels; 0 while it is closed

    def draw(made: Piece | None, width: float) -> dict[Any, Any]:
        if not width:
            return {drawn: ""}
        shown, path = write_sheet(made, width)
        saved = gr.update(value=path, interactive=True) if path else gr.update(interactive=False)
        return {drawn: shown, file: saved}

    view.expand(lambda width: width, measured, open_width, js=_MEASURE, **QUEUED).then(
        draw, [piece, open_width], [drawn, file], **QUEUED
    )
    view.collapse(lambda: 0.0, None, open_width, **QUEUED)
    return lambda event: event.then(draw, [piece, open_width], [drawn, file], **QUEUED)


def write_sheet(piece: Piece | None, width: float) -> tuple[str, str]:
    """Draw ``piece`` ``width`` pixels wide, and write it as MusicXML.

    Returns:
        HTML with the score, or with the reason why it is not drawn; and the path of the file or "".
    """
    if piece is None or not piece.is_saved:
        return _say("A tune is written down as soon as it is complete."), ""
    step, path = piece.step, ""
    try:
        score = write_musicxml(step.arrangement, step.heard)
        file = new_file(f"{name_file(step, max(piece.seed, 0))}.musicxml")
        file.write_text(score, encoding="utf-8")
        path = str(file)
        if len(step.bars) > MOST_BARS:
            raise InvalidRequest(
                f"This piece has {len(step.bars)} bars, and up to {MOST_BARS} are drawn here. The "
                "file has all of them, for a notation program such as MuseScore."
            )
        pages = engrave(score, int(width))
    except GalleryError as error:
        return _say(str(error)), path
    label = f"Sheet music, {len(step.bars)} bars"
    return (
        f'<div class="sheet-pages" role="img" aria-label="{label}" data-piece="{piece.key}">'
        f"{pages}</div>"
    ), path


def _say(text: str) -> str:
    return f'<p class="sheet-said">{html.escape(text)}</p>'
