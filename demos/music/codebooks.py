"""Decodes MusicGen tokens from some codebooks only, to hear what each adds. No Gradio here.

EnCodec (Défossez et al. 2022, arXiv:2210.13438) uses residual quantization: the first codebook is a
rough approximation of a frame, each further codebook encodes the remaining error.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from threading import Event

import numpy as np

from shared.musicgen.engine import MusicGenEngine
from shared.sounds import Sound

LONGEST_SECONDS = 10.0  # the sound is decoded several times, which takes seconds each


@dataclass(frozen=True, eq=False)
class Layer:
    """The sound of some codebooks.

    Attributes:
        levels: The codebooks, from 0.
        sound: Decoded from these codebooks only.
        error: RMS of the difference to the full sound, divided by the RMS of the full sound.
    """

    levels: tuple[int, ...]
    sound: Sound
    error: float


def decode_layers(engine: MusicGenEngine, codes: np.ndarray, stop: Event) -> Iterator[Layer]:
    """Yield the first codebook, the first two and so on up to all, then each other one alone.

    Args:
        engine: The engine that made ``codes``.
        codes: (K, T); only the first ``LONGEST_SECONDS`` are decoded.
        stop: Stops before the next layer.
    """
    count = engine.layout.levels
    codes = codes[:, : round(LONGEST_SECONDS * engine.layout.frame_rate)]
    whole = engine.decode(codes, range(count))
    together = (tuple(range(last + 1)) for last in range(count))
    alone = ((level,) for level in range(1, count))
    for chosen in chain(together, alone):
        if stop.is_set():
            return
        sound = whole if len(chosen) == count else engine.decode(codes, chosen)
        missing = _strength(whole.samples - sound.samples) / (_strength(whole.samples) or 1.0)
        yield Layer(chosen, sound, missing)


def _strength(samples: np.ndarray) -> float:
    return float(np.sqrt(np.square(samples, dtype=np.float64).mean()))
