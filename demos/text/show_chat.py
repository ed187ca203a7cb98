"""A conversation as the page shows it: as it was written, and never run. No Gradio here."""

from __future__ import annotations

import html
from collections.abc import Sequence

from demos.text.generate import Turn

EMPTY = (
    "Ask something. Storyteller was never trained to answer: choose a model whose name ends in "
    "Instruct, at the top."
)
SPEAKERS = {"user": "You", "assistant": "The model"}


def show_chat(turns: Sequence[Turn]) -> str:
    """Show what was said, the latest last."""
    if not turns:
        return f'<div class="chat chat-empty"><p>{EMPTY}</p></div>'
    said = [
        f'<div class="chat-turn {turn.role}"><span>{SPEAKERS[turn.role]}</span>'
        f'<p dir="auto">{html.escape(turn.content)}</p></div>'
        for turn in turns
    ]
    return f'<div class="chat" role="log" aria-label="Conversation">{"".join(said)}</div>'
