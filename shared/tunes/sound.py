"""Scores to sound, through a SoundFont."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import GalleryError
from shared.tunes.loudness import measure_loudness, normalize
from shared.tunes.soundfont import explain_damage, find_soundfont, read_soundfont

if TYPE_CHECKING:
    from symusic import Score, Track

SAMPLE_RATE = 44_100
_RATE = 48_000  # the synthesizer's only sample rate
HIGHEST = 96  # MIDI pitch: three octaves above middle C, the top of most instruments
VOLUME, FULL_VOLUME = 7, 100  # MIDI controller number, and the default of General MIDI
LOUDEST_VOLUME = 127
TAIL = 2.0  # seconds for the last notes and the reverb to decay
_FADE = 0.3  # seconds at the end, because some bells ring longer than TAIL
LEVEL, QUIETEST = -20.0, -60.0  # LUFS of a test scale; below the second it is missing
_SCALE = (48, 55, 60, 64, 67, 72, 76, 79)
_SILENT = 1e-4  # of full scale, before normalization


@dataclass(frozen=True)
class PlayedNote:
    """A note: ``start`` and ``duration`` in seconds, MIDI ``pitch`` and ``velocity``."""

    start: float
    duration: float
    pitch: int
    velocity: int
    track: int


@dataclass(frozen=True)
class RenderedChunk:
    """Levels of a sound in a file.

    Attributes:
        scale: Factor to multiply the samples of the file by.
        peak: Highest absolute sample value of the sound; 1 is full scale.
    """

    scale: float
    peak: float


def score_to_midi_bytes(score: Score) -> bytes:
    """Return ``score`` as a standard MIDI file."""
    return score.dumps_midi()


def synthesize(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: Path | None = None
) -> np.ndarray:
    """Play ``score`` through a SoundFont, with a little reverb.

    The instruments of one SoundFont differ in loudness by up to 14 dB. So each instrument is first
    brought to the same level; the balance then depends only on velocities and on the volume of a
    track, MIDI controller 7. The result is linear: the sound of a score is the sum of the sounds of
    its notes, each with its decay.

    The synthesizer holds the GIL while it runs. In a server, call this in another process, see
    ``shared.processes``.

    Args:
        score: Any score; one without notes is silence.
        sample_rate: Sample rate of the result.
        soundfont: A .sf2 or .sf3 file; None for the installed one.

    Returns:
        Stereo sound, float32, shape (samples, 2), that ends when the last notes have decayed.

    Raises:
        GalleryError: The SoundFont is missing or cannot be read or played.
    """
    soundfont = soundfont or find_soundfont()
    groups: dict[np.float32, list[Track]] = {}
    for track in score.tracks:
        if track.notes:
            factor = _level(soundfont, track.program) * _volume(track)
            groups.setdefault(factor, []).append(track)
    played = [_play(score, tracks, soundfont) for tracks in groups.values()]
    length = max(map(len, played), default=round(TAIL * _RATE))
    sound = np.zeros((length, 2), dtype=np.float32)
    for factor, one in zip(groups, played, strict=True):
        sound[: len(one)] += factor * one
    return _finish(sound, sample_rate)


def render(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: Path | None = None
) -> np.ndarray:
    """Play ``score`` as ``synthesize`` does, normalized to ``LOUDNESS`` below ``CEILING``."""
    return normalize(synthesize(score, sample_rate, soundfont), sample_rate)


def render_chunk(score: Score, path: Path, soundfont: Path | None = None) -> RenderedChunk:
    """Play ``score`` as ``synthesize`` does, and write the sound to ``path`` as a FLAC file."""
    import soundfile

    sound = synthesize(score, SAMPLE_RATE, soundfont)
    peak = float(np.abs(sound).max(initial=0.0))
    scale = max(peak, 1e-3)  # so that all 16 bits are used
    soundfile.write(path, sound / scale, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return RenderedChunk(scale, peak)


def _volume(track: Track) -> np.float32:
    """Return the gain of a track's MIDI volume."""
    value = next((c.value for c in track.controls if c.number == VOLUME), FULL_VOLUME)
    return np.float32((value / FULL_VOLUME) ** 2)


def _play(score: Score, tracks: Sequence[Track], soundfont: Path) -> np.ndarray:
    """Return the unscaled sound of some tracks of ``score``, (samples, 2), at ``_RATE``."""
    import midirenderer
    from symusic import ControlChange, Score

    alone = Score(score.ticks_per_quarter)
    alone.tempos = score.tempos
    for track in tracks:
        own = track.copy()
        # Render at full volume: quiet tracks lose resolution in 16 bits, and get less reverb.
        own.controls = [ControlChange(0, VOLUME, LOUDEST_VOLUME)]
        alone.tracks.append(own)
    # The synthesizer stops at the last event: add one without effect after the decay.
    tempo = score.tempos[-1].qpm if score.tempos else 120
    end = alone.end() + round(TAIL * tempo / 60 * score.ticks_per_quarter)
    alone.tracks[0].controls.append(ControlChange(end, VOLUME, LOUDEST_VOLUME))
    try:
        played = midirenderer.render_wave_from(read_soundfont(soundfont), alone.dumps_midi())
    except (RuntimeError, ValueError) as error:
        raise GalleryError(explain_damage(soundfont)) from error
    with wave.open(io.BytesIO(played)) as file:
        frames = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return frames.reshape(-1, 2).astype(np.float32) / np.float32(2**15)


def _finish(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Resample from ``_RATE``, trim the silence at the end, and fade out."""
    import soxr

    sound = np.asarray(soxr.resample(sound, _RATE, sample_rate), dtype=np.float32)
    heard = np.flatnonzero(np.abs(sound).max(axis=1) > _SILENT)
    sound = sound[: heard[-1] + 1 if len(heard) else None]
    fade = min(len(sound), round(_FADE * sample_rate))
    sound[-fade:] *= np.linspace(1, 0, fade, dtype=np.float32)[:, None]
    return sound


@lru_cache(256)
def _level(soundfont: Path, program: int) -> np.float32:
    """Return the factor that brings an instrument's scale to ``LEVEL``."""
    from symusic import Note, Score, Tempo, Track

    score, track = Score(12), Track(program=program)
    score.tempos.append(Tempo(0, 150))
    for place, pitch in enumerate(_SCALE):
        track.notes.append(Note(12 * place, 12, pitch, 90))
    loudness = measure_loudness(_play(score, [track], soundfont), _RATE)
    return np.float32(10 ** ((LEVEL - loudness) / 20) if loudness > QUIETEST else 1.0)
