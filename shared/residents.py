"""Who lies in which memory, and who may be asked to leave. The cache's books, without threads."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.loader import HOST, Progress


@dataclass(eq=False)
class Ticket:
    """A place in the line for a lease."""

    holder: str
    granted: threading.Event = field(default_factory=threading.Event)


@dataclass(eq=False)
class Resident:
    """One model, from its first miss until it is dropped.

    Attributes:
        name: What visitors call it.
        limit: Leases that it may have at once; None for any number.
        reserved: Bytes set aside while it loads.
        parts: Bytes of each piece of its memory once it is loaded.
        parked: It was evicted from its device and waits in host memory.
        settled: Set once it is loaded or has failed.
        watchers: Visitors who watch it load.
        line: Visitors who wait for a lease, in order.
        fresh_until: It is kept for its first lease until then.
    """

    key: str
    name: str
    limit: int | None = None
    device: str = HOST
    reserved: int = 0
    parts: Mapping[Hashable, int] = field(default_factory=dict)
    model: Any = None
    parked: bool = False
    error: BaseException | None = None
    progress: Progress = field(default_factory=lambda: Progress("Waiting"))
    settled: threading.Event = field(default_factory=threading.Event)
    watchers: int = 0
    line: deque[Ticket] = field(default_factory=deque)
    holders: Counter[str] = field(default_factory=Counter)
    leases: int = 0
    pinned: bool = False
    last_used: float = 0.0
    fresh_until: float = 0.0
    load_seconds: float = 0.0

    @property
    def bytes(self) -> int:
        """Memory that it takes or has set aside."""
        return self.reserved + sum(self.parts.values())

    @property
    def waiters(self) -> int:
        """Visitors who wait for it."""
        return self.watchers + len(self.line)

    def has_turn(self) -> bool:
        """Whether it can be lent once more."""
        return self.limit is None or self.leases < self.limit

    def lend(self, holder: str) -> None:
        """Count one more lease."""
        self.leases += 1
        self.holders[holder] += 1
        self.fresh_until = 0.0

    def lend_in_turn(self) -> None:
        """Lend to those in line, first come, first served."""
        while self.has_turn() and self.line:
            ticket = self.line.popleft()
            self.lend(ticket.holder)
            ticket.granted.set()

    def take_back(self, holder: str, now: float) -> None:
        """Count one lease less."""
        self.leases -= 1
        self.holders[holder] -= 1
        if not self.holders[holder]:
            del self.holders[holder]
        self.last_used = now

    def describe(self, now: float) -> dict[str, Any]:
        """Return all that may be shown, as plain JSON values."""
        ready = self.settled.is_set()
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


class Residents:
    """All models by key, and the memory of each device that they share.

    Not safe for threads: the cache calls it under its lock. Since the garbage collector may end a
    forgotten lease in the middle of a method, what is iterated is copied first.
    """

    def __init__(self, budgets: dict[str, int], clock: Callable[[], float]) -> None:
        """Start empty, with bytes by device that may be taken, and a clock in seconds."""
        self.budgets = budgets
        self.by_key: dict[str, Resident] = {}
        self.leaving: list[Resident] = []  # evicted from a device whose models may be parked
        self.evictions = 0
        self.litter = False  # whether something was evicted that is not collected yet
        self._clock = clock
        self._overfull: set[str] = set()  # devices where a model was larger than expected

    def all(self) -> list[Resident]:
        """Everyone, loading and parked ones included."""
        return list(self.by_key.values())

    def at_work(self) -> list[Resident]:
        """Those in use or loading."""
        return [one for one in self.all() if one.leases or not one.settled.is_set()]

    def forget_visitors(self) -> None:
        """Keep the models, but no lease, no wait and no load."""
        for one in self.all():
            one.leases = one.watchers = 0
            one.holders.clear()
            one.line.clear()
            if not one.settled.is_set():
                self.remove(one)

    def remove(self, resident: Resident) -> None:
        """Forget ``resident``, unless another has taken its key."""
        if self.by_key.get(resident.key) is resident:
            del self.by_key[resident.key]

    def clear(self) -> None:
        """Forget all."""
        self.by_key.clear()
        self.leaving.clear()
        self.litter = True

    def evict(self, resident: Resident) -> None:
        """Make ``resident`` leave; from host memory, at once."""
        self.evictions += 1
        self.litter = True
        self.remove(resident)
        if resident.device == HOST:
            resident.model = None  # whoever still holds the resident must not hold its memory
        else:
            self.leaving.append(resident)

    def drop(self, is_chosen: Callable[[Resident], bool], even_fresh: bool) -> None:
        """Forget for good those chosen that are idle."""
        chosen = [one for one in self.all() if is_chosen(one) and self.is_idle(one, even_fresh)]
        for one in chosen:
            self.evict(one)
        for one in self.leaving:
            one.model = None
        self.leaving.clear()

    def is_idle(self, resident: Resident, even_fresh: bool = False) -> bool:
        """Whether ``resident`` may be made to leave; ``even_fresh``, before its first lease."""
        in_use = resident.leases or resident.waiters or resident.pinned
        is_fresh = resident.fresh_until > self._clock() and not even_fresh
        return resident.settled.is_set() and not (in_use or is_fresh)

    def idle(self, device: str) -> list[Resident]:
        """Those on ``device`` that may leave: parked ones first, then least recently used."""
        found = [one for one in self.all() if one.device == device and self.is_idle(one)]
        return sorted(found, key=lambda one: (not one.parked, one.last_used))

    def used(self, device: str, without: Iterable[Resident] = ()) -> int:
        """Bytes taken or set aside on ``device``, pieces that several share once."""
        held = [one for one in self.all() if one.device == device and one not in without]
        parts: dict[Hashable, int] = {}
        for one in held:
            parts.update(one.parts)
        return sum(parts.values()) + sum(one.reserved for one in held)

    def find_room(self, devices: Sequence[str], wanted: int) -> str | None:
        """The first device with ``wanted`` bytes free, else the first where enough can leave."""
        for device in devices:
            if self.used(device) + wanted <= self.budgets[device]:
                return device
        for device in devices:
            if self.make_room(device, wanted, self.idle(device)):
                return device
        return None

    def make_room(self, device: str, wanted: int, candidates: Sequence[Resident]) -> bool:
        """Evict in this order until ``wanted`` bytes are free; none if all would not do."""
        if self.used(device, without=candidates) + wanted > self.budgets[device]:
            return False
        for one in candidates:
            if self.used(device) + wanted <= self.budgets[device]:
                break
            self.evict(one)
        return True

    def settle(self, resident: Resident, parts: Mapping[Hashable, int]) -> None:
        """Let the measured ``parts`` take the place of what was reserved."""
        resident.parts, resident.reserved = parts, 0
        self._overfull.add(resident.device)

    def trim(self) -> None:
        """Where models turned out larger than expected, evict what is idle and too much."""
        for device in list(self._overfull):
            idle = self.idle(device)
            while (over := self.used(device) > self.budgets[device]) and idle:
                self.evict(idle.pop(0))
            if not over:
                self._overfull.discard(device)

    def describe_devices(self) -> list[dict[str, Any]]:
        """Return the memory of every device, as plain JSON values."""
        return [
            {"device": device, "budget_bytes": budget, "used_bytes": self.used(device)}
            for device, budget in list(self.budgets.items())
        ]

    def name_holders(self, devices: Sequence[str]) -> str:
        """Say what takes the memory of ``devices``, and who has it."""
        held = [
            f"{one.name} ({megabytes(one.bytes)}, {', '.join(one.holders) or 'loading'})"
            for one in self.all()
            if one.device in devices and one.bytes and not self.is_idle(one)
        ]
        return ", ".join(held) + (" are" if len(held) > 1 else " is") + " in use"

    def say_too_large(self, name: str, wanted: int, devices: Sequence[str]) -> str:
        """Say that a model can never fit."""
        most = max(self.budgets[device] for device in devices)
        return (
            f"{name} needs {megabytes(wanted)}, but models may take at most {megabytes(most)} "
            "here. Choose a smaller model, or start the gallery with more memory for models."
        )


def megabytes(count: int) -> str:
    """Bytes in words."""
    return f"{count / 1e6:,.0f} MB"
