"""How loud a sound is, as ears have it, and bringing it to a stated loudness without clipping.

Integrated loudness after ITU-R BS.1770-5 (https://www.itu.int/rec/R-REC-BS.1770): K-weighting, mean
squares of 400 ms blocks, an absolute and a relative gate. In NumPy alone: pyloudnorm would bring
SciPy, 140 MB, to every gallery.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

LOUDNESS = -16.0  # LUFS, as music players and podcasts have it
CEILING = 10 ** (-1 / 20)  # -1 dBFS: what no sample passes
SILENT = -70.0  # LUFS; quieter blocks do not count
_BLOCK, _HOP = 0.4, 0.1  # seconds
_PIECE, _RUN_IN = 2.0, 0.5  # seconds that are filtered at a time, and before them


def measure_loudness(sound: np.ndarray, sample_rate: int) -> float:
    """Return the integrated loudness in LUFS; minus infinity for silence.

    Args:
        sound: Shape (samples, channels), one or two channels; at least ``_BLOCK`` seconds, what is
            shorter is padded with silence.
        sample_rate: Samples a second.
    """
    hop = round(_HOP * sample_rate)
    short = round(_BLOCK * sample_rate) - len(sound)
    weighted = _weigh(np.pad(sound.T, ((0, 0), (0, max(0, short)))), sample_rate)
    energy = np.einsum("ct,ct->t", weighted, weighted)
    tenths = energy[: len(energy) // hop * hop].reshape(-1, hop).mean(axis=1)
    per_block = round(_BLOCK / _HOP)
    blocks = np.convolve(tenths, np.full(per_block, 1 / per_block), "valid")
    for gate in (SILENT, -10.0):  # the second is relative to what passes the first
        if gate != SILENT and len(blocks):
            gate += _to_lufs(float(blocks.mean()))
        blocks = blocks[blocks > 10 ** ((gate + 0.691) / 10)]
    return _to_lufs(float(blocks.mean())) if len(blocks) else -math.inf


def find_gain(sound: np.ndarray, sample_rate: int) -> float:
    """Return the factor that brings ``sound`` to ``LOUDNESS``, or, if less, to ``CEILING``."""
    peak = float(np.abs(sound).max(initial=0.0))
    loudness = measure_loudness(sound, sample_rate)
    if not peak or loudness == -math.inf:
        return 1.0 if peak <= CEILING else CEILING / peak
    return min(10 ** ((LOUDNESS - loudness) / 20), CEILING / peak)


def normalize(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return ``sound`` times ``find_gain``, float32."""
    return (sound * np.float32(find_gain(sound, sample_rate))).astype(np.float32, copy=False)


def _to_lufs(energy: float) -> float:
    return -0.691 + 10 * math.log10(energy) if energy > 0 else -math.inf


def _weigh(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """K-weight (channels, samples), piece by piece, by multiplying spectra."""
    piece, run_in = round(_PIECE * sample_rate), round(_RUN_IN * sample_rate)
    length = piece + run_in
    response = _response(sample_rate, length)
    padded = np.pad(sound, ((0, 0), (run_in, -sound.shape[1] % piece)))
    weighted = [
        np.fft.irfft(np.fft.rfft(padded[:, start : start + length]) * response, length)[:, run_in:]
        for start in range(0, sound.shape[1], piece)
    ]
    return np.concatenate(weighted, axis=1)[:, : sound.shape[1]]


@lru_cache(4)
def _response(sample_rate: int, length: int) -> np.ndarray:
    """Frequency response, complex64, of the two filters of K-weighting: head, then low end."""
    z = np.exp(-2j * np.pi * np.fft.rfftfreq(length))
    response = np.ones_like(z)
    for b, a in (_high_shelf(sample_rate), _high_pass(sample_rate)):
        response *= np.polyval(b[::-1], z) / np.polyval(a[::-1], z)
    return response.astype(np.complex64)


# The standard has both filters for 48 kHz only: these analogue figures give its coefficients.
def _high_shelf(sample_rate: int) -> tuple[list[float], list[float]]:
    k = math.tan(math.pi * 1681.974450955533 / sample_rate)
    q, high = 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    middle = high**0.4996667741545416
    norm = 1 + k / q + k * k
    b = [high + middle * k / q + k * k, 2 * (k * k - high), high - middle * k / q + k * k]
    return [x / norm for x in b], [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]


def _high_pass(sample_rate: int) -> tuple[list[float], list[float]]:
    k = math.tan(math.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    norm = 1 + k / q + k * k
    return [1.0, -2.0, 1.0], [1.0, 2 * (k * k - 1) / norm, (1 - k / q + k * k) / norm]
