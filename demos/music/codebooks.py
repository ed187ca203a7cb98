"""What each codebook adds: the same tokens decoded from some of their levels only. No Gradio here.

EnCodec (Défossez et al. 2022, arXiv:2210.13438) quantises in several levels: the first codebook
gives a rough idea of a frame, the next describes what is still missing, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from threading import Event

import numpy as np

from shared.musicgen.engine import MusicGenEngine
from shared.sounds import Sound

LONGEST_SECONDS = 10.0  # that are decoded: several times over, and each takes seconds


@dataclass(frozen=True, eq=False)
class Layer:
    """What some levels sound like.

    Attributes:
        levels: Counted from 0.
        sound: Decoded from them.
        error: Root mean square of what is missing to the whole, as a share of the whole.
    """

    levels: tuple[int, ...]
    sound: Sound
    error: float


def decode_layers(engine: MusicGenEngine, codes: np.ndarray, stop: Event) -> Iterator[Layer]:
    """Yield the first level, the first two and so on up to all, then each other level alone.

    Args:
        engine: Whose tokens they are.
        codes: (K, T); only the beginning is decoded if it is long.
        stop: Ends it before the next of them.
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
