"""Interface between the model cache and a loader. Standard library only."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOST = "cpu"  # the device whose memory is the host's
# Called with a stage in plain words, bytes done and bytes in total (0 of 0 if unknown). It raises
# when nobody waits for the model any more: let the exception through.
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
        """What visitors call ``key``."""
        return key

    @abstractmethod
    def expected_bytes(self, key: str) -> int:
        """Memory to set aside before loading ``key``. Raises if there is no such model."""

    def devices(self, key: str) -> Sequence[str]:
        """Where ``key`` may run, best first."""
        return (HOST,)

    def fetch(self, key: str, report: Report) -> Any:
        """Bring the files of ``key`` to this disk, and return what ``load`` needs. May be slow."""
        return None

    @abstractmethod
    def load(self, key: str, files: Any, device: str, report: Report) -> Any:
        """Build the model on ``device``. The cache never calls this twice at a time."""

    @abstractmethod
    def measure(self, model: Any) -> Mapping[Hashable, int]:
        """Bytes of each piece of memory of ``model``, by an identity.

        Models that share a piece give it the same identity. The cache measures once, after the
        load: memory that a model takes later, while it works, is to be included.
        """

    def may_park(self, device: str) -> bool:
        """Whether a model evicted from ``device`` is worth keeping in host memory."""
        return False

    @abstractmethod
    def move(self, model: Any, device: str) -> None:
        """Move ``model`` to ``device``, in place."""

    def free(self) -> None:  # noqa: B027 (there may be nothing to do)
        """Give the memory of dropped models back to the system."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error`` says that memory ran out."""
        return isinstance(error, MemoryError)
