"""Detects tunes that repeat the training data. Only hashes are stored, no music."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

FILE = "training-bars.npz"
PASSAGE = 3  # bars
COMMON = 3  # a passage in at least this many pieces is common stock


class CopyGuard:
    """A set of hashes of all passages of ``PASSAGE`` bars in a model's training pieces.

    A passage is the tokens of its bars. All pieces are in C, so a passage matches in every key, but
    not in another octave. Two sorts of passages are left out: those in ``COMMON`` or more pieces,
    which are common stock, and those that end a piece, which are cadences. A hash has 32 bits:
    about one in twenty thousand new passages is taken for a copy and sampled again.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        """Use ``hashes``, sorted, (N,) uint32."""
        self.hashes = hashes

    @classmethod
    def build(cls, pieces: Iterable[Sequence[Sequence[int]]]) -> CopyGuard:
        """Hash ``pieces``, each a list of bars, each a list of token ids."""
        owners: defaultdict[int, set[int]] = defaultdict(set)
        for number, bars in enumerate(pieces):
            for passage in _hash_passages(bars[:-1]):
                owners[passage].add(number)
        rare = [passage for passage, pieces_ in owners.items() if len(pieces_) < COMMON]
        return cls(np.array(sorted(rare), dtype=np.uint32))

    @classmethod
    def load(cls, folder: Path) -> CopyGuard | None:
        """Read what ``save`` wrote into ``folder``; None if there is no such file."""
        path = folder / FILE
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["hashes"])

    def save(self, folder: Path) -> None:
        """Write the hashes into ``folder``."""
        np.savez_compressed(folder / FILE, hashes=self.hashes)

    def copies(self, bars: Sequence[Sequence[int]]) -> bool:
        """Whether the last ``PASSAGE`` of ``bars`` (token ids) are in the training data."""
        return any(self._knows(passage) for passage in _hash_passages(bars[-PASSAGE:]))

    def _knows(self, passage: int) -> bool:
        place = int(np.searchsorted(self.hashes, passage))
        return place < len(self.hashes) and int(self.hashes[place]) == passage


def _hash_passages(bars: Sequence[Sequence[int]]) -> Iterator[int]:
    """Yield the hash of each ``PASSAGE`` consecutive bars."""
    for first in range(len(bars) - PASSAGE + 1):
        tokens = [token for bar in bars[first : first + PASSAGE] for token in bar]
        digest = hashlib.blake2b(np.array(tokens, "<u2").tobytes(), digest_size=4).digest()
        yield int.from_bytes(digest, "little")
