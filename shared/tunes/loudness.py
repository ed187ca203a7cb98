"""Measures perceived loudness, and normalizes sound to a target loudness without clipping.

Integrated loudness as in ITU-R BS.1770 (https://www.itu.int/rec/R-REC-BS.1770): K-weighting, mean
squares of 400 ms blocks, an absolute and a relative gate. FFmpeg's filter ``ebur128`` measures it,
through PyAV, which is installed anyway; pyloudnorm would need SciPy, 140 MB.
"""

from __future__ import annotations

import math

import numpy as np

LOUDNESS = -16.0  # LUFS, the usual target of music players and podcasts
CEILING = 10 ** (-1 / 20)  # -1 dBFS: the highest absolute sample value
SILENT = -70.0  # LUFS; quieter blocks do not count
_HOPS = 4  # of 100 ms each, per block of 400 ms
_RESULT = "lavfi.r128.I"  # metadata key of a frame: the loudness up to its end


def measure_loudness(sound: np.ndarray, sample_rate: int) -> float:
    """Return the integrated loudness in LUFS; minus infinity for silence.

    Args:
        sound: Shape (samples, channels), one or two channels. Sound that is shorter than a block
            is padded with silence.
        sample_rate: Samples per second.
    """
    import av  # imported here so that the page starts sooner
    import av.filter

    layout = "mono" if sound.shape[1] == 1 else "stereo"
    hop = sample_rate // 10  # as in FFmpeg; if 10 does not divide the rate, a block has a fifth hop
    block = math.ceil(_HOPS * sample_rate // 10 / hop) * hop
    padded = np.pad(sound, ((0, max(0, block - len(sound))), (0, 0)))
    planes = np.ascontiguousarray(padded.T, dtype=np.float32)
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_abuffer(sample_rate=sample_rate, format="fltp", layout=layout),
        graph.add("ebur128", "metadata=1:framelog=quiet"),
        graph.add("abuffersink"),
    ).configure()
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=layout)
    frame.sample_rate, frame.pts = sample_rate, 0
    graph.push(frame)
    graph.push(None)
    loudness = SILENT
    for _ in range(math.ceil(len(padded) / hop)):
        # One frame per hop; a last, shorter frame has no result.
        loudness = float(graph.pull().metadata.get(_RESULT, loudness))
    return loudness if loudness > SILENT else -math.inf


def find_gain(sound: np.ndarray, sample_rate: int) -> float:
    """Return the factor that brings ``sound`` to ``LOUDNESS``, limited by ``CEILING``."""
    peak = float(np.abs(sound).max(initial=0.0))
    loudness = measure_loudness(sound, sample_rate)
    if not peak or loudness == -math.inf:
        return 1.0 if peak <= CEILING else CEILING / peak
    return min(10 ** ((LOUDNESS - loudness) / 20), CEILING / peak)


def normalize(sound: np.ndarray, sample_rate: int) -> np.ndarray:
    """Return ``sound`` times ``find_gain``, float32."""
    return (sound * np.float32(find_gain(sound, sample_rate))).astype(np.float32, copy=False)
