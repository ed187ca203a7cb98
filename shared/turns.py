"""Fair scheduling: a request takes all its slots at once, first come, first served."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.limits import BATCH_ROWS, DEVICE, DEVICE_SLOTS


class QueuedRequest:
    """A request in the queue. It holds its slots when ``wait`` returns 0."""

    def __init__(self, turns: Turns, needs: Mapping[str, int]) -> None:
        self._turns = turns
        self.needs = Counter(needs)
        self.is_served = False

    def wait(self, seconds: float) -> int:
        """Wait up to ``seconds`` for the turn. Returns how many requests are before this one."""
        with self._turns._changed:
            self._turns._changed.wait_for(lambda: self.is_served, seconds)
            return self._turns._count_before(self)


class Turns:
    """Slots of named resources, such as the device, and the requests that wait for them.

    A request takes all its slots in one step and never more later, so there is no deadlock. No
    request overtakes an earlier one that needs the same resource, so there is no starvation. One
    lock guards everything.
    """

    def __init__(self, capacity: Mapping[str, int] | None = None) -> None:
        """Set the slots by resource; a resource that is not named has ``BATCH_ROWS``."""
        self._capacity = {DEVICE: DEVICE_SLOTS, **(capacity or {})}
        self._changed = threading.Condition()
        self._served: list[QueuedRequest] = []
        self._waiting: list[QueuedRequest] = []

    @contextmanager
    def join(self, needs: Mapping[str, int]) -> Iterator[QueuedRequest]:
        """Queue for ``needs``, slots by resource; leaving the block releases them.

        Raises:
            ValueError: More slots than the resource has.
        """
        for resource, count in needs.items():
            if count > self.capacity(resource):
                raise ValueError(f"{resource} has {self.capacity(resource)} slots, not {count}")
        request = QueuedRequest(self, needs)
        with self._changed:
            self._waiting.append(request)
            self._serve()
        try:
            yield request
        finally:
            with self._changed:
                (self._served if request.is_served else self._waiting).remove(request)
                self._serve()

    def capacity(self, resource: str) -> int:
        """Return the number of slots of ``resource``."""
        return self._capacity.get(resource, BATCH_ROWS)

    def __len__(self) -> int:
        """Return how many requests hold slots or wait for them."""
        with self._changed:
            return len(self._served) + len(self._waiting)

    def _serve(self) -> None:
        taken = Counter[str]()
        for request in self._served:
            taken += request.needs
        for request in list(self._waiting):
            after = taken + request.needs
            if all(after[resource] <= self.capacity(resource) for resource in request.needs):
                self._waiting.remove(request)
                self._served.append(request)
                request.is_served = True
                taken = after
            else:  # reserve all it needs, so that no later request overtakes it
                taken += Counter({resource: self.capacity(resource) for resource in request.needs})
        self._changed.notify_all()

    def _count_before(self, request: QueuedRequest) -> int:
        """Count earlier requests for the same resources, and one that holds them."""
        if request.is_served:
            return 0
        earlier = self._waiting[: self._waiting.index(request)]
        return 1 + sum(bool(one.needs.keys() & request.needs.keys()) for one in earlier)
