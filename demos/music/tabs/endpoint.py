"""The music room's public endpoint."""

from __future__ import annotations

from typing import Any

import gradio as gr

from demos.music.generate import MusicRequest, generate_music
from demos.music.presets import EXAMPLE
from demos.music.recording import PieceAudio, save
from demos.music.run import BUNDLED, estimate_seconds
from demos.music.tabs.musicgen import answer_musicgen
from shared.catalog import is_musicgen
from shared.room import Room
from shared.ui.endpoints import add_endpoint
from shared.ui.files import new_file

# Empty strings and zeros mean: take it from the description.
DEFAULTS: dict[str, Any] = {
    "description": EXAMPLE, "model": BUNDLED, "duration": 20.0, "temperature": 0.9, "seed": -1,
    "style": "", "key": "", "mode": "", "meter": "", "tempo": 0, "instrument": "",
    "accompaniment": "", "bars": 0, "top_p": 0.95, "loop": False,
}  # fmt: skip


def create_endpoint(room: Room) -> None:
    """Publish ``generate_music``."""

    def answer(
        description: str,
        model: str,
        duration: float,
        temperature: float,
        seed: int,
        style: str,
        key: str,
        mode: str,
        meter: str,
        tempo: int,
        instrument: str,
        accompaniment: str,
        bars: int,
        top_p: float,
        loop: bool,
    ) -> tuple[str, str | None, dict[str, Any]]:
        """Compose a tune from a description, as sound and as notes.

        Args:
            description: Plain words for style, key, meter, tempo, instruments and length, such as
                "a slow air in G minor for flute and harp"; may be empty; at most 500 characters.
                The parameters below override it.
            model: Key from list_models, such as music/tunes.
            duration: Seconds, 5 to 120; the last bar is completed. A length in the description
                overrides the default, 20.
            temperature: Sampling temperature, 0.1 (likely notes) to 1.5 (surprising ones).
            seed: The same seed gives the same tune; -1 draws one.
            style: Any, Air, Reel, Jig and so on; empty to use the description.
            key: Name of the key note, such as Bb; empty to use the description.
            mode: Any, Major, Minor, Dorian or Mixolydian; empty to use the description.
            meter: Any, 4/4, 6/8 and so on; empty to use the description.
            tempo: Quarter notes per minute, 40 to 300; 0 to use the description.
            instrument: Plays the melody, such as flute; empty to use the description.
            accompaniment: Plays the chords, such as guitar, or none; empty to use the description.
            bars: Length in bars instead of seconds, up to 96; 0 to use the duration.
            top_p: Sample among the likeliest tokens with this total probability, 0.05 to 1.
            loop: Whether the tune can be repeated without a seam.

        Returns:
            A WAV file, a MIDI file (not for MusicGen, which generates audio), and the recipe with
            the seed that was used. MusicGen uses the first five parameters only.
        """
        if is_musicgen(room.spec(model)):
            return answer_musicgen(room, description, model, duration, temperature, seed)
        given = {
            "duration": duration, "style": style, "key": key, "mode": mode, "meter": meter,
            "tempo": tempo, "instrument": instrument, "accompaniment": accompaniment, "bars": bars,
            "loop": loop,
        }  # fmt: skip
        request = MusicRequest.parse(
            description=description,
            temperature=temperature,
            top_p=top_p,
            seed=seed,
            **{name: value for name, value in given.items() if value != DEFAULTS[name]},
        )
        recipe = room.recipe(model, request)
        last = room.finish(generate_music, model, request, seconds=estimate_seconds(request))
        audio = PieceAudio(new_file, room.settings.soundfont)
        audio.add(last)
        files = save(last, recipe, new_file, audio.play(last))
        return str(files.wav), str(files.midi), recipe

    add_endpoint(
        "generate_music",
        answer,
        DEFAULTS,
        [
            gr.File(label="sound", visible=False),
            gr.File(label="notes", visible=False),
            gr.JSON(label="recipe", visible=False),
        ],
    )
