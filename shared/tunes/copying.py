"""Does a tune repeat what the model was trained on? Found by hashes, which hold no music."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

FILE = "training-bars.npz"
PASSAGE = 3  # bars
COMMON = 3  # a passage in this many pieces is common property


class CopyGuard:
    """Knows every passage of ``PASSAGE`` bars in a model's training pieces.

    A passage counts as the tokens of its bars, so it is one in every key, octaves apart. Passages
    that ``COMMON`` or more pieces have are common stock, and those that end a piece are cadences:
    neither is in it. A hash has 32 bits: of passages that are in no piece, one in some twenty
    thousand is taken for a copy, and drawn again for nothing.
    """

    def __init__(self, hashes: np.ndarray) -> None:
        """Take the sorted hashes of passages, (N,) uint32."""
        self.hashes = hashes

    @classmethod
    def build(cls, pieces: Iterable[Sequence[Sequence[int]]]) -> CopyGuard:
        """Learn ``pieces``, each a list of bars, each a list of token ids."""
        owners: defaultdict[int, set[int]] = defaultdict(set)
        for number, bars in enumerate(pieces):
            for passage in _hash_passages(bars[:-1]):
                owners[passage].add(number)
        rare = [passage for passage, pieces_ in owners.items() if len(pieces_) < COMMON]
        return cls(np.array(sorted(rare), dtype=np.uint32))

    @classmethod
    def load(cls, folder: Path) -> CopyGuard | None:
        """Read what ``save`` wrote beside the weights in ``folder``; None where there is none."""
        path = folder / FILE
        if not path.is_file():
            return None
        with np.load(path, allow_pickle=False) as arrays:
            return cls(arrays["hashes"])

    def save(self, folder: Path) -> None:
        """Write the hashes into ``folder``."""
        np.savez_compressed(folder / FILE, hashes=self.hashes)

    def copies(self, bars: Sequence[Sequence[int]]) -> bool:
        """Whether the latest ``PASSAGE`` of ``bars`` (token ids) are a passage of the training."""
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
