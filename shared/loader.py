"""Interface between the model cache and a loader. Standard library only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOST = "cpu"  # the device whose memory is the host's
# Called with a description of the stage, bytes done and total bytes (0 of 0 if unknown). It raises
# when nobody waits for the model any more; loaders must not catch that.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Progress:
    """How far a load is, as last reported."""

    stage: str
    done: int = 0
    total: int = 0


class Loader(ABC):
    """Loads, measures and moves models."""

    def name(self, key: str) -> str:
        """Return the title of ``key`` for messages."""
        return key

    @abstractmethod
    def expected_bytes(self, key: str) -> int:
        """Return the bytes to reserve for ``key``. Raises if there is no such model."""

    def devices(self, key: str) -> Sequence[str]:
        """Return where ``key`` may run, best first."""
        return (HOST,)

    def fetch(self, key: str, report: Report) -> Any:
        """Download or convert the files of ``key``; return what ``load`` needs. May be slow."""
        return None

    @abstractmethod
    def load(self, key: str, files: Any, device: str, report: Report) -> Any:
        """Build the model on ``device``. The cache makes one such call at a time."""

    @abstractmethod
    def measure(self, model: Any) -> Mapping[Hashable, int]:
        """Return the bytes of each piece of memory of ``model``, by the identity of the piece.

        Models that share a piece return the same identity for it. The cache measures once, after
        the load, so memory that the model allocates later must be included.
        """

    def may_park(self, device: str) -> bool:
        """Whether a model evicted from ``device`` is worth keeping in host memory."""
        return False

    @abstractmethod
    def move(self, model: Any, device: str) -> None:
        """Move ``model`` to ``device``, in place."""

    def free(self) -> None:  # noqa: B027 (optional)
        """Return the memory of dropped models to the system."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error`` says that memory ran out."""
        return isinstance(error, MemoryError)
