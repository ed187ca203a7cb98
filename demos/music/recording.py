"""Renders music while it is being composed: chunks to play at once, and files to download.

A chunk has the notes that begin in it, with their full decay, so its sound overlaps the next chunk.
If each chunk is played at its start time, the sum is the sound of the whole piece.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from demos.music.generate import MusicStep
from demos.music.score.musicxml import Key
from shared import processes
from shared.recipe_files import add_to_score
from shared.sounds import Sound, save_wav
from shared.tunes.arrangement import Arrangement, to_score
from shared.tunes.loudness import CEILING, find_gain
from shared.tunes.measures import write_measures
from shared.tunes.sound import SAMPLE_RATE, RenderedChunk, render_chunk, score_to_midi_bytes

FIRST_SECONDS, LATER_SECONDS = 1.5, 4.0  # least length of the first chunk and of later ones


@dataclass(frozen=True)
class Chunk:
    """Sound from ``start`` (seconds) on: a FLAC file, whose samples are to be times ``scale``."""

    start: float
    path: Path
    scale: float


class PieceAudio:
    """The sound of a piece while it is being composed.

    ``chunks`` can be played, ``seconds`` is the length that they cover, and ``gain`` the factor for
    all of them: estimated from the first chunk, and lowered if a louder chunk would clip.
    """

    def __init__(
        self,
        new_file: Callable[[str], Path],
        soundfont: Path | None = None,
        chunks: tuple[Chunk, ...] = (),
        seconds: float = 0.0,
    ) -> None:
        """Write chunks to files from ``new_file``, after the existing ``chunks``."""
        self.chunks = chunks
        self.seconds = seconds
        self.gain = 1.0
        self._new_file = new_file
        self._soundfont = soundfont
        self._takes: deque[_Take] = deque()  # being rendered
        processes.start()

    def advance(self, step: MusicStep) -> bool:
        """Start to render what is new in ``step``; only a complete step waits for the result.

        Returns:
            Whether there are chunks to play.
        """
        takes = self._takes
        takes += self._begin(step, takes[-1].end if takes else self.seconds)
        while takes and (step.is_complete or takes[0].rendering.done()):
            self._keep(takes.popleft())
        return bool(self.chunks)

    def add(self, step: MusicStep) -> None:
        """Render what is new in ``step``, if it is enough for a chunk, and wait for it."""
        for take in self._begin(step, self.seconds):
            self._keep(take)

    def _begin(self, step: MusicStep, start: float) -> list[_Take]:
        """Start to render all chunks of ``step`` from ``start`` on.

        Chunks end at bar lines. The latest bar is rendered later, because it may still be replaced
        by an ending.
        """
        music, takes = step.arrangement, []
        for bar in music.bar_starts:
            if bar - start >= (max(LATER_SECONDS, start / 4) if start else FIRST_SECONDS):
                takes.append(self._render(music, start, bar))
                start = bar
        if step.is_complete and music.seconds - start >= 0.001:
            takes.append(self._render(music, start, inf))
        return takes

    def _render(self, music: Arrangement, start: float, end: float) -> _Take:
        path = self._new_file("chunk.flac")
        score = to_score(music, start, end)
        rendering = processes.submit(render_chunk, score, path, self._soundfont)
        return _Take(path, min(end, music.seconds), rendering)

    def _keep(self, take: _Take) -> None:
        """Wait for a chunk and append it."""
        rendered = processes.wait(take.rendering)
        chunk = Chunk(self.seconds, take.path, rendered.scale)
        if not self.chunks:
            self.gain = find_gain(_read(chunk), SAMPLE_RATE)
        self.gain = min(self.gain, CEILING / rendered.peak) if rendered.peak else self.gain
        self.chunks += (chunk,)
        self.seconds = take.end

    def play(self, step: MusicStep) -> np.ndarray:
        """Return the sound of all chunks, not normalized, float32, shape (samples, 2).

        A loop is exactly as long as its bars. What sounds after its end is added to its beginning,
        so that it repeats without a seam.
        """
        sounds = [(round(one.start * SAMPLE_RATE), _read(one)) for one in self.chunks]
        ends = [first + len(sound) for first, sound in sounds]
        whole = np.zeros((max(ends, default=SAMPLE_RATE), 2), dtype=np.float32)
        for (first, sound), end in zip(sounds, ends, strict=True):
            whole[first:end] += sound
        return fold(whole, step.arrangement) if step.controls.loop else whole


def _read(chunk: Chunk) -> np.ndarray:
    """Return the sound of a chunk, float32, shape (samples, 2)."""
    import soundfile

    sound, _ = soundfile.read(chunk.path, dtype="float32", always_2d=True)
    return np.float32(chunk.scale) * np.asarray(sound)


@dataclass(frozen=True)
class _Take:
    """A chunk that is being rendered; ``end`` is the start of the next one in seconds."""

    path: Path
    end: float
    rendering: Future[RenderedChunk]


@dataclass(frozen=True)
class Files:
    """The files of a finished piece, and the gain that gives its chunks the same loudness."""

    wav: Path
    midi: Path
    gain: float


def save(
    step: MusicStep,
    recipe: Mapping[str, Any],
    new_file: Callable[[str], Path],
    sound: np.ndarray,
) -> Files:
    """Write ``step`` as WAV (44.1 kHz, 16 bits, see ``shared.tunes.loudness``) and as MIDI.

    ``sound`` is what ``PieceAudio.play`` returns. Both files contain ``recipe``. In the WAV file it
    must be short, so it omits the existing bars.
    """
    base = new_file(name_file(step, recipe.get("seed", 0)))
    wav, midi = base.with_suffix(".wav"), base.with_suffix(".mid")
    gain = find_gain(sound, SAMPLE_RATE)
    save_wav(Sound(sound.T * np.float32(gain), SAMPLE_RATE), wav, _without_bars(recipe))
    midi.write_bytes(write_midi(step, recipe))
    return Files(wav, midi, gain)


def write_midi(step: MusicStep, recipe: Mapping[str, Any]) -> bytes:
    """Write ``step`` as a MIDI file that can be opened again as the same piece.

    A marker at its beginning contains ``recipe`` and, as ``measures``, the bars as they were
    composed. These cannot be read back from the notes: the upbeat of a loop, for example, is not
    played.
    """
    from symusic import KeySignature

    score = to_score(step.arrangement)
    key = Key(step.heard)
    score.key_signatures.append(KeySignature(0, key.fifths, int(key.mode == "Minor")))
    measures = write_measures(bar.measure for bar in step.bars)
    add_to_score(score, {**recipe, "measures": measures})
    return score_to_midi_bytes(score)


def _without_bars(recipe: Mapping[str, Any]) -> dict[str, Any]:
    settings = dict(recipe.get("settings", {}))
    for bars in ("beginning", "ending"):
        if settings.get(bars):
            settings[bars] = "in the MIDI file"
    return {**recipe, "settings": settings}


def fold(sound: np.ndarray, music: Arrangement) -> np.ndarray:
    """Add the sound after the end of ``music`` to its beginning."""
    length = round(music.seconds * SAMPLE_RATE)
    rounds = -(-len(sound) // length)
    padded = np.pad(sound, ((0, rounds * length - len(sound)), (0, 0)))
    return padded.reshape(rounds, length, 2).sum(axis=0)


def name_file(step: MusicStep, seed: int) -> str:
    """Name a file after what it holds, such as ``jig-d-major-fiddle-and-guitar-5``."""
    style, *_, key, _, players = step.heard.summary.replace(" in ", ", ").split(", ")
    words = [style, key, players, *(["loop"] if step.controls.loop else []), str(seed)]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower().replace("#", "-sharp")).strip("-")
