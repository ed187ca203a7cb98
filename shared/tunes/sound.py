"""Scores to sound, through a SoundFont, and to MIDI files."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import GalleryError

if TYPE_CHECKING:
    from symusic import Score, Synthesizer

PEAK = 0.9
# MIDI pitch. symusic 0.5.8 never returns from rendering some notes above 101: keep well below.
HIGHEST = 96
SILENCE = 0.5


@dataclass(frozen=True)
class PlayedNote:
    """A note as heard: ``start`` and ``duration`` in seconds, MIDI ``pitch`` and ``velocity``."""

    start: float
    duration: float
    pitch: int
    velocity: int
    track: int


def played_notes(score: Score) -> list[PlayedNote]:
    """List the notes of ``score`` in order of their start, for a piano roll."""
    return sorted(
        (
            PlayedNote(note.start, note.duration, note.pitch, note.velocity, number)
            for number, track in enumerate(score.to("second").tracks)
            for note in track.notes
        ),
        key=lambda note: (note.start, note.pitch),
    )


def score_to_midi_bytes(score: Score) -> bytes:
    """Return ``score`` as a standard MIDI file."""
    return score.dumps_midi()


def find_soundfont() -> Path:
    """Return the path of the General MIDI SoundFont inside the installed pretty_midi package.

    The package is looked up, not imported: only its file is needed.

    Raises:
        GalleryError: The package or the file is missing.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec and spec.origin:
        path = Path(spec.origin).with_name("TimGM6mb.sf2")
        if path.is_file():
            return path
    raise GalleryError(
        "The SoundFont TimGM6mb.sf2 is missing, so notes cannot be turned into sound. "
        "Install it with: pip install pretty_midi==0.2.11.post0"
    )


@cache
def _synthesizer(sample_rate: int) -> Synthesizer:
    """Build the synthesizer for a sample rate once: reading the SoundFont takes longest."""
    from symusic import Synthesizer

    return Synthesizer(sf_path=find_soundfont(), sample_rate=sample_rate)


def render(score: Score, sample_rate: int = 44_100) -> np.ndarray:
    """Play ``score`` through the SoundFont.

    Returns:
        Stereo sound, float32, shape (samples, 2), its peak at ``PEAK``. A score without notes
        gives ``SILENCE`` seconds of zeros.

    Raises:
        GalleryError: The SoundFont is missing.
    """
    if not score.note_num():
        return np.zeros((round(SILENCE * sample_rate), 2), dtype=np.float32)
    sound = _synthesizer(sample_rate).render(score.to("second"), stereo=True)  # (2, samples)
    samples = np.ascontiguousarray(np.asarray(sound, dtype=np.float32).T)
    peak = float(np.abs(samples).max())
    return samples * np.float32(PEAK / peak) if peak > 0 else samples
