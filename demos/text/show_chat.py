"""A conversation as the page shows it: as it was written, and never run. No Gradio here."""

from __future__ import annotations

import html
from collections.abc import Sequence

from demos.text.generate import Turn

EMPTY = (
    "Ask something. Only models that were trained to answer can chat: SmolLM2 and Qwen3 were, "
    "Storyteller was not. Choose one at the top."
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
