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
                "a slow air in G minor for flute and harp"; empty means anything; at most 500
                characters. What the parameters below say goes first.
            model: Key from list_models, such as music/tunes.
            duration: Seconds, 5 to 120; the music ends with the bar in which they are over. 20,
                the default, gives way to what the description says.
            temperature: 0.1 (the likeliest notes) to 1.5 (bold).
            seed: Same seed, same tune; -1 draws one.
            style: Any, Air, Reel, Jig and so on; empty for what the description says.
            key: Name of the key note, such as Bb; empty for what the description says.
            mode: Any, Major, Minor, Dorian or Mixolydian; empty likewise.
            meter: Any, 4/4, 6/8 and so on; empty likewise.
            tempo: Quarter notes a minute, 40 to 300; 0 likewise.
            instrument: Plays the melody, such as flute; empty likewise.
            accompaniment: Plays chords, such as guitar, or none; empty likewise.
            bars: Length in bars instead of seconds, up to 96; 0 for seconds.
            top_p: Draw among the likeliest tokens with this total probability, 0.05 to 1.
            loop: Whether the end leads back into the beginning without a seam.

        Returns:
            A WAV file, a MIDI file (none of MusicGen, which knows no notes), and the recipe with
            the seed that was used. MusicGen takes the first five parameters only.
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
