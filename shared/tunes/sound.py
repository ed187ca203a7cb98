"""Scores to sound, through a SoundFont."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import GalleryError
from shared.tunes.loudness import measure_loudness, normalize

if TYPE_CHECKING:
    from symusic import Score, Synthesizer, Track

SAMPLE_RATE = 44_100
# MIDI pitch. symusic 0.5.8 never returns from rendering some notes above 101: keep well below.
HIGHEST = 96
SILENCE = 0.5
VOLUME, FULL_VOLUME = 7, 100  # MIDI's controller for it, and what General MIDI begins with
OUT_OF_CONTROL = 100.0  # a hundred times full scale: no music, but a filter that runs away
LEVEL, QUIETEST = -20.0, -60.0  # LUFS of an instrument's scale; quieter ones are missing
_SCALE = (48, 55, 60, 64, 67, 72, 76, 79)


@dataclass(frozen=True)
class PlayedNote:
    """A note as heard: ``start`` and ``duration`` in seconds, MIDI ``pitch`` and ``velocity``."""

    start: float
    duration: float
    pitch: int
    velocity: int
    track: int


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


@lru_cache(4)
def _synthesizer(sample_rate: int, soundfont: Path) -> Synthesizer:
    """Build the synthesizer once: reading the SoundFont takes longest."""
    from symusic import Synthesizer

    try:
        return Synthesizer(sf_path=soundfont, sample_rate=sample_rate)
    except Exception as error:
        raise GalleryError(
            f"The SoundFont {soundfont.name} cannot be read: it is damaged, or no .sf2 or .sf3 "
            "file. Whoever runs the gallery can name another one in GALLERY_SOUNDFONT."
        ) from error


def synthesize(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: Path | None = None
) -> np.ndarray:
    """Play ``score`` through a SoundFont.

    SoundFonts differ in how loud their instruments are, by as much as 25 dB within one. So each
    instrument is brought to the same level first: then velocities and the volume of a track, MIDI's
    controller 7, alone say what stands out.
    Every note is synthesised for itself and added: the sound of a score is the sum of the sounds
    of its notes.

    Args:
        score: Any; one without notes is silence.
        sample_rate: Of the sound.
        soundfont: A .sf2 or .sf3 file; None for the one that is installed.

    Returns:
        Stereo sound, float32, shape (samples, 2), with the last notes' dying away.

    Raises:
        GalleryError: The SoundFont is missing or cannot be read or played.
    """
    soundfont = soundfont or find_soundfont()
    played = [
        _play(_alone(score, track), sample_rate, soundfont)
        * (_level(sample_rate, soundfont, track.program) * _volume(track))
        for track in score.tracks
        if track.notes
    ]
    length = max(map(len, played), default=round(SILENCE * sample_rate))
    sound = np.zeros((length, 2), dtype=np.float32)
    for one in played:
        sound[: len(one)] += one
    return sound


def render(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: Path | None = None
) -> np.ndarray:
    """Play ``score`` as ``synthesize`` does, brought to ``LOUDNESS`` and never over ``CEILING``."""
    return normalize(synthesize(score, sample_rate, soundfont), sample_rate)


def _volume(track: Track) -> np.float32:
    """Return the factor that a track's volume asks for, which the synthesizer does not know of."""
    value = next((c.value for c in track.controls if c.number == VOLUME), FULL_VOLUME)
    return np.float32((value / FULL_VOLUME) ** 2)


def _alone(score: Score, track: Track) -> Score:
    from symusic import Score

    alone = Score(score.ticks_per_quarter)
    alone.tempos = score.tempos
    alone.tracks.append(track)
    return alone


def _play(score: Score, sample_rate: int, soundfont: Path) -> np.ndarray:
    """Return the sound of ``score`` as it comes, (samples, 2)."""
    player = _synthesizer(sample_rate, soundfont)
    sound = np.asarray(player.render(score.to("second"), stereo=True), dtype=np.float32)
    if not np.abs(sound).max(initial=0.0) < OUT_OF_CONTROL:
        raise GalleryError(
            f"The synthesizer cannot play an instrument of the SoundFont {soundfont.name}. "
            "Choose another instrument."
        )
    return np.ascontiguousarray(sound.T)


@lru_cache(256)
def _level(sample_rate: int, soundfont: Path, program: int) -> np.float32:
    """Return the factor that brings an instrument's scale to ``LEVEL``."""
    from symusic import Note, Score, Tempo, Track

    score, track = Score(12), Track(program=program)
    score.tempos.append(Tempo(0, 150))
    for place, pitch in enumerate(_SCALE):
        track.notes.append(Note(12 * place, 12, pitch, 90))
    score.tracks.append(track)
    loudness = measure_loudness(_play(score, sample_rate, soundfont), sample_rate)
    return np.float32(10 ** ((LEVEL - loudness) / 20) if loudness > QUIETEST else 1.0)
