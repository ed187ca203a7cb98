"""What the model cache asks of whoever loads its models. Standard library only."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HOST = "cpu"  # the device whose memory is the host's
# Called with a stage in plain words, and bytes done of a total, 0 of 0 if unknown. It raises when
# nobody waits for the model any more: let that through.
Report = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Progress:
    """How far a load is, as last reported."""

    stage: str
    done: int = 0
    total: int = 0


class Loader:
    """Loads, measures and moves models; the catalogue is one, tests bring their own."""

    def name(self, key: str) -> str:
        """What visitors call ``key``."""
        return key

    def expected_bytes(self, key: str) -> int:
        """Memory to set aside before loading ``key``. Raises if there is no such model."""
        raise NotImplementedError

    def devices(self, key: str) -> Sequence[str]:
        """Where ``key`` may run, best first."""
        return (HOST,)

    def max_leases(self, key: str) -> int | None:
        """How many may use ``key`` at once; None for any number."""
        return None

    def fetch(self, key: str, report: Report) -> Any:
        """Bring the files of ``key`` to this disk, and return what ``load`` needs. May be slow."""
        return None

    def load(self, key: str, files: Any, device: str, report: Report) -> Any:
        """Build the model on ``device``. The cache never calls this twice at a time."""
        raise NotImplementedError

    def measure(self, model: Any) -> Mapping[Hashable, int]:
        """Bytes of each piece of memory of ``model``, by an identity that sharers share."""
        raise NotImplementedError

    def may_park(self, device: str) -> bool:
        """Whether a model evicted from ``device`` is worth keeping in host memory."""
        return False

    def move(self, model: Any, device: str) -> None:
        """Move ``model`` to ``device``, in place."""
        raise NotImplementedError

    def free(self) -> None:
        """Give the memory of dropped models back to the system."""

    def is_out_of_memory(self, error: BaseException) -> bool:
        """Whether ``error`` says that memory ran out."""
        return isinstance(error, MemoryError)
