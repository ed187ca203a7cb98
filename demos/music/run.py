"""Runs the models of the music room. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator

from demos.music.generate import MusicRequest, MusicStep, generate_music
from shared.room import Room, Waiting

BUNDLED = "music/tunes"


def run_music(room: Room, model: str, request: MusicRequest) -> Iterator[MusicStep | Waiting]:
    """Compose with ``model``; see ``Room.run``."""
    return room.run(generate_music, model, request, seconds=estimate_seconds(request))


def estimate_seconds(request: MusicRequest) -> float:
    """Estimate how long a GPU needs for a tune, in seconds."""
    return 5 + request.duration
