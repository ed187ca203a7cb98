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
_RATE = 48_000  # the synthesizer knows no other
HIGHEST = 96  # MIDI pitch: three octaves above middle C, where most instruments end
VOLUME, FULL_VOLUME = 7, 100  # MIDI's controller for it, and what General MIDI begins with
LOUDEST_VOLUME = 127
TAIL = 2.0  # seconds in which the last notes and the room die away
_FADE = 0.3  # seconds at the end: some bells ring on for longer
LEVEL, QUIETEST = -20.0, -60.0  # LUFS of an instrument's scale; quieter ones are missing
_SCALE = (48, 55, 60, 64, 67, 72, 76, 79)
_SILENT = 1e-4  # of full scale, before it is as loud as it should be


@dataclass(frozen=True)
class PlayedNote:
    """A note as heard: ``start`` and ``duration`` in seconds, MIDI ``pitch`` and ``velocity``."""

    start: float
    duration: float
    pitch: int
    velocity: int
    track: int


@dataclass(frozen=True)
class RenderedChunk:
    """What there is to say of a sound in a file.

    Attributes:
        scale: Factor on the volume of the file.
        peak: Of the sound, 1 being full scale.
    """

    scale: float
    peak: float


def score_to_midi_bytes(score: Score) -> bytes:
    """Return ``score`` as a standard MIDI file."""
    return score.dumps_midi()


def synthesize(
    score: Score, sample_rate: int = SAMPLE_RATE, soundfont: Path | None = None
) -> np.ndarray:
    """Play ``score`` through a SoundFont, in a room that reverberates a little.

    SoundFonts differ in how loud their instruments are, by as much as 14 dB within one. So each
    instrument is brought to the same level first: then velocities and the volume of a track, MIDI's
    controller 7, alone set the balance.
    The sound of a score is the sum of the sounds of its notes, each with its own dying away.

    The synthesizer holds the interpreter for as long as it plays. Where others wait for answers,
    call this in another process, see ``shared.processes``.

    Args:
        score: Any; one without notes is silence.
        sample_rate: Of the sound.
        soundfont: A .sf2 or .sf3 file; None for the one that is installed.

    Returns:
        Stereo sound, float32, shape (samples, 2), that ends when the last notes have died away.

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
    """Play ``score`` as ``synthesize`` does, brought to ``LOUDNESS`` and never over ``CEILING``."""
    return normalize(synthesize(score, sample_rate, soundfont), sample_rate)


def render_chunk(score: Score, path: Path, soundfont: Path | None = None) -> RenderedChunk:
    """Play ``score`` as ``synthesize`` does, and write the sound to ``path`` as a FLAC file."""
    import soundfile

    sound = synthesize(score, SAMPLE_RATE, soundfont)
    peak = float(np.abs(sound).max(initial=0.0))
    scale = max(peak, 1e-3)  # for the 16 bits to be used
    soundfile.write(path, sound / scale, SAMPLE_RATE, subtype="PCM_16", format="FLAC")
    return RenderedChunk(scale, peak)


def _volume(track: Track) -> np.float32:
    """Return the factor that a track's volume asks for."""
    value = next((c.value for c in track.controls if c.number == VOLUME), FULL_VOLUME)
    return np.float32((value / FULL_VOLUME) ** 2)


def _play(score: Score, tracks: Sequence[Track], soundfont: Path) -> np.ndarray:
    """Return the sound of some tracks of ``score`` as it comes, (samples, 2), at ``_RATE``."""
    import midirenderer
    from symusic import ControlChange, Score

    alone = Score(score.ticks_per_quarter)
    alone.tempos = score.tempos
    for track in tracks:
        own = track.copy()
        # The quieter, the coarser the 16 bits it comes in, and the less of it the room gives back.
        own.controls = [ControlChange(0, VOLUME, LOUDEST_VOLUME)]
        alone.tracks.append(own)
    # It stops at the last event: let that be one that does nothing, after the dying away.
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
    """Resample from ``_RATE``, end where it is silent, and fade the end out."""
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
