"""Cache entries, bytes per device, eviction order. No threads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.errors import CacheFull
from shared.loader import HOST, Progress

_log = logging.getLogger(__name__)


@dataclass(eq=False)
class CacheEntry:
    """One model, from its first miss until it is evicted.

    Attributes:
        name: Title for messages.
        reserved: Bytes set aside while it loads.
        parts: Bytes of each piece of memory after the load, see ``Loader.measure``.
        parked: Whether it was evicted from its device and is kept in host memory.
        ready: Set when it is loaded or has failed.
        waiters: Visitors who wait for it to load.
        kept_until: Time until which it is kept for its first lease.
    """

    key: str
    name: str
    device: str = HOST
    reserved: int = 0
    parts: Mapping[Hashable, int] = field(default_factory=dict)
    model: Any = None
    parked: bool = False
    error: BaseException | None = None
    progress: Progress = field(default_factory=lambda: Progress("Waiting"))
    ready: threading.Event = field(default_factory=threading.Event)
    waiters: int = 0
    holders: Counter[str] = field(default_factory=Counter)
    leases: int = 0
    pinned: bool = False
    last_used: float = 0.0
    kept_until: float = 0.0
    load_seconds: float = 0.0

    @property
    def bytes(self) -> int:
        """Memory that it uses or has reserved."""
        return self.reserved + sum(self.parts.values())

    def __str__(self) -> str:
        return f"{self.name} ({format_megabytes(self.bytes)} on {self.device})"

    def acquire(self, holder: str) -> None:
        """Add a lease."""
        self.leases += 1
        self.holders[holder] += 1
        self.kept_until = 0.0

    def keep_until_used(self, now: float, seconds: float) -> None:
        """Keep it for its first lease, but at most ``seconds``."""
        self.last_used, self.kept_until = now, now + seconds

    def release(self, holder: str, now: float) -> None:
        """Remove a lease."""
        self.leases -= 1
        self.holders[holder] -= 1
        if not self.holders[holder]:
            del self.holders[holder]
        self.last_used = now

    def describe(self, now: float) -> dict[str, Any]:
        """Return its state for snapshots, as JSON values."""
        ready = self.ready.is_set()
        state = "parked" if self.parked else "in use" if self.leases else "ready"
        return {
            "key": self.key,
            "state": state if ready else "loading",
            "loaded": ready and not self.parked,
            "device": self.device,
            "bytes": self.bytes,
            "leases": self.leases,
            "holders": dict(self.holders),
            "waiters": self.waiters,
            "pinned": self.pinned,
            "idle_seconds": now - self.last_used if ready and not self.leases else 0.0,
            "load_seconds": self.load_seconds,
            "progress": None if ready else vars(self.progress).copy(),
        }


IsChosen = Callable[[CacheEntry], bool]


class CacheEntries:
    """All entries by key, and the memory of each device that they share.

    Not thread-safe: the cache holds its lock during each call. The garbage collector may end a
    lease in the middle of a method, so collections are copied before iteration.
    """

    def __init__(self, budgets: dict[str, int], clock: Callable[[], float]) -> None:
        """Start empty, with budgets in bytes per device and a clock in seconds."""
        self.budgets = budgets
        self.by_key: dict[str, CacheEntry] = {}
        self.evicted: list[CacheEntry] = []  # from devices other than the host; may be parked
        self.evictions = 0
        self.eviction_notes: deque[str] = deque()
        self.needs_collection = False  # evicted memory is not freed yet
        self._clock = clock
        self._over_budget: set[str] = set()  # devices with a model larger than expected

    def all(self) -> list[CacheEntry]:
        """Return all entries, also loading and parked ones."""
        return list(self.by_key.values())

    def active(self) -> list[CacheEntry]:
        """Return the entries that are leased or loading."""
        return [entry for entry in self.all() if entry.leases or not entry.ready.is_set()]

    def forget_visitors(self) -> None:
        """Remove all leases, waiters and loads; loaded models stay."""
        for entry in self.all():
            entry.leases = entry.waiters = 0
            entry.holders.clear()
            if not entry.ready.is_set():
                self.remove(entry)

    def remove(self, entry: CacheEntry) -> None:
        """Remove ``entry``, unless another one has replaced it."""
        if self.by_key.get(entry.key) is entry:
            del self.by_key[entry.key]

    def clear(self) -> None:
        """Remove all entries."""
        self.by_key.clear()
        self.evicted.clear()
        self.needs_collection = True

    def evict(self, entry: CacheEntry, reason: str) -> None:
        """Remove ``entry``; a model in host memory is dropped at once."""
        self.evictions += 1
        self.needs_collection = True
        self.remove(entry)
        self.eviction_notes.append(f"{entry}: {reason}")
        if entry.device == HOST:
            entry.model = None  # the entry may still be referenced
        else:
            self.evicted.append(entry)

    def drop(self, is_chosen: IsChosen, reason: str, even_fresh: bool = False) -> None:
        """Evict the chosen idle entries without parking them."""
        chosen = [one for one in self.all() if is_chosen(one) and self.is_idle(one, even_fresh)]
        for entry in chosen:
            self.evict(entry, reason)
        for entry in self.evicted:
            entry.model = None
        self.evicted.clear()

    def is_idle(self, entry: CacheEntry, even_fresh: bool = False) -> bool:
        """Whether ``entry`` may be evicted; with ``even_fresh`` also before its first lease."""
        in_use = entry.leases or entry.waiters or entry.pinned
        is_fresh = entry.kept_until > self._clock() and not even_fresh
        return entry.ready.is_set() and not (in_use or is_fresh)

    def idle(self, device: str) -> list[CacheEntry]:
        """Return idle entries of ``device`` in eviction order: parked, then least recently used."""
        found = [one for one in self.all() if one.device == device and self.is_idle(one)]
        return sorted(found, key=lambda one: (not one.parked, one.last_used))

    def used(self, device: str, without: Iterable[CacheEntry] = ()) -> int:
        """Return the bytes used or reserved on ``device``; shared pieces count once."""
        held = [one for one in self.all() if one.device == device and one not in without]
        parts: dict[Hashable, int] = {}
        for entry in held:
            parts.update(entry.parts)
        return sum(parts.values()) + sum(entry.reserved for entry in held)

    def find_room(self, devices: Sequence[str], wanted: int) -> str | None:
        """Return the first device with ``wanted`` bytes free, else the first that can evict."""
        for device in devices:
            if self.used(device) + wanted <= self.budgets[device]:
                return device
        for device in devices:
            if self.make_room(device, wanted, self.idle(device)):
                return device
        return None

    def make_room(self, device: str, wanted: int, candidates: Sequence[CacheEntry]) -> bool:
        """Evict in order until ``wanted`` bytes are free; evict none if all are not enough."""
        if self.used(device, without=candidates) + wanted > self.budgets[device]:
            return False
        for entry in candidates:
            if self.used(device) + wanted <= self.budgets[device]:
                break
            self.evict(entry, f"{format_megabytes(wanted)} are needed")
        return True

    def record_size(self, entry: CacheEntry, parts: Mapping[Hashable, int]) -> None:
        """Replace the reservation of ``entry`` by its measured ``parts``."""
        entry.parts, entry.reserved = parts, 0
        self._over_budget.add(entry.device)

    def trim(self) -> None:
        """On devices with models larger than expected, evict idle ones down to the budget."""
        for device in list(self._over_budget):
            idle = self.idle(device)
            while (over := self.used(device) > self.budgets[device]) and idle:
                self.evict(idle.pop(0), "models are larger than expected")
            if not over:
                self._over_budget.discard(device)

    def log_evictions(self) -> None:
        """Log evictions. To be called without the cache's lock, to avoid a deadlock.

        A thread that holds a lock of logging may wait for the cache's: the garbage collector may
        end a lease there.
        """
        while self.eviction_notes:
            with contextlib.suppress(IndexError):  # another thread took it
                _log.info("Evicted %s", self.eviction_notes.popleft())

    def describe_devices(self) -> list[dict[str, Any]]:
        """Return the memory of each device, as JSON values."""
        return [
            {"device": device, "budget_bytes": budget, "used_bytes": self.used(device)}
            for device, budget in list(self.budgets.items())
        ]

    def describe_holders(self, devices: Sequence[str]) -> str:
        """Say which models use the memory of ``devices``, and who uses them."""
        held = [
            f"{one.name} ({format_megabytes(one.bytes)}, {', '.join(one.holders) or 'loading'})"
            for one in self.all()
            if one.device in devices and one.bytes and not self.is_idle(one)
        ]
        return ", ".join(held) + (" are" if len(held) > 1 else " is") + " in use"

    def check_size(self, name: str, wanted: int, devices: Sequence[str]) -> list[str]:
        """Return the ``devices`` that can hold ``wanted`` bytes; the host only if no other can.

        Raises:
            CacheFull: No device can.
        """
        fitting = [device for device in devices if wanted <= self.budgets[device]]
        if fitting:
            return [device for device in fitting if device != HOST] or fitting
        most = max(self.budgets[device] for device in devices)
        raise CacheFull(
            f"{name} needs {format_megabytes(wanted)}, but models may take at most "
            f"{format_megabytes(most)} here. Choose a smaller model, or start the gallery with "
            "more memory for models."
        )


def format_megabytes(count: int) -> str:
    """Format bytes as ``1,234 MB``."""
    return f"{count / 1e6:,.0f} MB"
