"""Music to sound while it is being composed: chunks to play at once, and files to keep.

A chunk holds the notes that begin in it, with their dying away, which reaches into the next one:
played at its own start over what still sounds, chunks add up to the sound of the whole.
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

FIRST_SECONDS, LATER_SECONDS = 1.5, 4.0  # the least that a chunk lasts; late ones are longer


@dataclass(frozen=True)
class Chunk:
    """Sound from ``start`` (seconds) on: a FLAC file, to be played ``scale`` times as loud."""

    start: float
    path: Path
    scale: float


class PieceAudio:
    """The sound of a piece that grows.

    ``chunks`` is what there is to play, ``seconds`` how far it reaches, and ``gain`` the factor for
    all of it: a first guess from the first chunk, lowered where a louder one would clip.
    """

    def __init__(
        self,
        new_file: Callable[[str], Path],
        soundfont: Path | None = None,
        chunks: tuple[Chunk, ...] = (),
        seconds: float = 0.0,
    ) -> None:
        """Keep chunks where ``new_file`` says, after those that there are."""
        self.chunks = chunks
        self.seconds = seconds
        self.gain = 1.0
        self._new_file = new_file
        self._soundfont = soundfont
        self._takes: deque[_Take] = deque()  # being rendered
        processes.start()

    def advance(self, step: MusicStep) -> bool:
        """Begin to render what is new of ``step``; only the last step is waited for.

        Returns:
            Whether there is something to hear yet.
        """
        takes = self._takes
        takes += self._begin(step, takes[-1].end if takes else self.seconds)
        while takes and (step.is_complete or takes[0].rendering.done()):
            self._keep(takes.popleft())
        return bool(self.chunks)

    def add(self, step: MusicStep) -> None:
        """Render what is new of ``step``, if it is enough for a chunk."""
        for take in self._begin(step, self.seconds):
            self._keep(take)

    def _begin(self, step: MusicStep, start: float) -> list[_Take]:
        """Begin with all chunks of ``step`` from ``start`` on.

        They are cut at bars, wherever these come from. The latest bar waits: only then is it known
        whether the music comes to rest in it.
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
        """Wait for a chunk, and make it the next."""
        rendered = processes.wait(take.rendering)
        chunk = Chunk(self.seconds, take.path, rendered.scale)
        if not self.chunks:
            self.gain = find_gain(_read(chunk), SAMPLE_RATE)
        self.gain = min(self.gain, CEILING / rendered.peak) if rendered.peak else self.gain
        self.chunks += (chunk,)
        self.seconds = take.end

    def play(self, step: MusicStep) -> np.ndarray:
        """Return the sound of all chunks, float32, shape (samples, 2), as loud as it comes.

        A loop is exactly as long as its bars, and what would sound on after its end sounds at its
        beginning: played again and again it has no seam.
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
    """A chunk in the making, and where its notes end (seconds)."""

    path: Path
    end: float
    rendering: Future[RenderedChunk]


@dataclass(frozen=True)
class Files:
    """A finished piece to keep, and the factor that brings its chunks to the same loudness."""

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

    ``sound`` is what ``PieceAudio.play`` returns. Both files hold ``recipe``; that of the sound,
    which must be short, is without bars that were given.
    """
    base = new_file(name_file(step, recipe.get("seed", 0)))
    wav, midi = base.with_suffix(".wav"), base.with_suffix(".mid")
    gain = find_gain(sound, SAMPLE_RATE)
    save_wav(Sound(sound.T * np.float32(gain), SAMPLE_RATE), wav, _without_bars(recipe))
    midi.write_bytes(write_midi(step, recipe))
    return Files(wav, midi, gain)


def write_midi(step: MusicStep, recipe: Mapping[str, Any]) -> bytes:
    """Write ``step`` as a MIDI file that can be opened again as the same piece.

    A marker at its beginning holds ``recipe`` and, as ``measures``, the bars as they were composed,
    which the notes do not tell: what leads into a loop is not played, for one.
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
    """Lay what lies behind the end of ``music`` over its beginning."""
    length = round(music.seconds * SAMPLE_RATE)
    rounds = -(-len(sound) // length)
    padded = np.pad(sound, ((0, rounds * length - len(sound)), (0, 0)))
    return padded.reshape(rounds, length, 2).sum(axis=0)


def name_file(step: MusicStep, seed: int) -> str:
    """Name a file after what it holds, such as ``jig-d-major-fiddle-and-guitar-5``."""
    style, *_, key, _, players = step.heard.summary.replace(" in ", ", ").split(", ")
    words = [style, key, players, *(["loop"] if step.controls.loop else []), str(seed)]
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower().replace("#", "-sharp")).strip("-")
