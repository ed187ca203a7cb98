"""Baselines of the storyteller: two compressors and two n-gram models.

All are measured on the same documents as the model, in bits; the caller divides by the number of
characters.
"""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from training.ngrams import KneserNey
from training.text_data import TokenData

END = "\0"  # end of a document in character streams
LZMA = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 64 << 20}]


@dataclass(frozen=True)
class Texts:
    """Training and held-out documents as tokens and as text, without separators or repeats."""

    train_tokens: list[np.ndarray]
    held_out_tokens: list[np.ndarray]
    train: list[str]
    held_out: list[str]

    @classmethod
    def of(cls, data: TokenData) -> Texts:
        """Split the token streams and decode them to the exact text."""
        end = int(data.train[0])  # a stream begins with a separator
        train = list({one.tobytes(): one for one in split(data.train, end)}.values())
        held_out = split(data.held_out, end)
        decoded = [
            data.tokenizer.decode_batch([one.tolist() for one in side])
            for side in (train, held_out)
        ]
        return cls(train, held_out, *decoded)


def split(stream: np.ndarray, end: int) -> list[np.ndarray]:
    """Split a stream at its separators; it begins and ends with one."""
    return [part[1:] for part in np.split(stream, np.flatnonzero(stream == end))[1:-1]]


def join(parts: Iterable[np.ndarray], end: int) -> np.ndarray:
    """Join documents to a stream, a separator before and after each."""
    stream = [np.array([end], np.uint16)]
    for part in parts:
        stream += [part, stream[0]]
    return np.concatenate(stream)


def join_characters(texts: Iterable[str]) -> np.ndarray:
    """Join texts to a stream of their bytes (UTF-8), with ``END`` before and after each."""
    return np.frombuffer("".join([END, *(text + END for text in texts)]).encode(), np.uint8)


def sum_bits(nats: np.ndarray, stream: np.ndarray, end: int) -> np.ndarray:
    """Bits of each document of ``stream``, (M,), its end included, from ``nats`` of stream[1:]."""
    return np.add.reduceat(nats, np.flatnonzero(stream == end)[:-1]) / np.log(2)


def measure_ngrams(
    train: np.ndarray, held_out: np.ndarray, vocabulary: int, order: int, end: int
) -> np.ndarray:
    """Return the bits that Kneser-Ney n-grams need for each held-out document, (D,)."""
    nats = KneserNey(train, vocabulary, order).nats(held_out)[1:]
    return sum_bits(nats, held_out, end)


def measure_compressors(train: bytes, held_out: bytes) -> dict[str, float]:
    """Return the bits that gzip and xz need for ``held_out``, alone and after ``train``.

    Headers are not counted.
    """
    compressors: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda text: gzip.compress(text, 9),
        "xz": lambda text: lzma.compress(text, filters=LZMA),
    }
    bits = {}
    for name, compress in compressors.items():
        for prior, words in ((b"", "alone"), (train, "primed")):
            bits[f"{name}_{words}"] = 8.0 * (len(compress(prior + held_out)) - len(compress(prior)))
    return bits
