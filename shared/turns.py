"""Whose turn it is: a request takes all its slots at once, first come, first served."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from shared.limits import BATCH_ROWS, DEVICE, DEVICE_SLOTS


class Place:
    """The place of one request in line. ``wait`` until it returns 0: then its slots are taken."""

    def __init__(self, turns: Turns, needs: Mapping[str, int]) -> None:
        self._turns = turns
        self.needs = Counter(needs)
        self.is_served = False

    def wait(self, seconds: float) -> int:
        """Wait up to ``seconds`` for the turn. Returns how many are before this one."""
        with self._turns._changed:
            self._turns._changed.wait_for(lambda: self.is_served, seconds)
            return self._turns._count_before(self)


class Turns:
    """Slots of named resources, such as the device, and the requests that wait for them.

    A request takes all its slots in one step and never adds one to those that it holds, so no two
    can wait for each other. Nobody overtakes an earlier request that needs the same resource, so
    nobody waits for ever. One lock guards everything; nothing is called while it is held.
    """

    def __init__(self, capacity: Mapping[str, int] | None = None) -> None:
        """Make the slots of ``capacity``; any other resource has ``BATCH_ROWS`` of them."""
        self._capacity = {DEVICE: DEVICE_SLOTS, **(capacity or {})}
        self._changed = threading.Condition()
        self._served: list[Place] = []
        self._waiting: list[Place] = []

    @contextmanager
    def join(self, needs: Mapping[str, int]) -> Iterator[Place]:
        """Stand in line for ``needs``, slots by resource; leaving the block gives them back.

        Raises:
            ValueError: It needs more slots than there are.
        """
        for resource, count in needs.items():
            if count > self.capacity(resource):
                raise ValueError(f"{resource} has {self.capacity(resource)} slots, not {count}")
        place = Place(self, needs)
        with self._changed:
            self._waiting.append(place)
            self._serve()
        try:
            yield place
        finally:
            with self._changed:
                (self._served if place.is_served else self._waiting).remove(place)
                self._serve()

    def capacity(self, resource: str) -> int:
        """How many slots ``resource`` has."""
        return self._capacity.get(resource, BATCH_ROWS)

    def __len__(self) -> int:
        """How many requests hold slots or wait for some."""
        with self._changed:
            return len(self._served) + len(self._waiting)

    def _serve(self) -> None:
        taken = Counter[str]()
        for place in self._served:
            taken += place.needs
        for place in list(self._waiting):
            after = taken + place.needs
            if all(after[resource] <= self.capacity(resource) for resource in place.needs):
                self._waiting.remove(place)
                self._served.append(place)
                place.is_served = True
                taken = after
            else:  # it keeps its place: what it needs is taken for all after it
                taken += Counter({resource: self.capacity(resource) for resource in place.needs})
        self._changed.notify_all()

    def _count_before(self, place: Place) -> int:
        """Earlier requests in line for the same resources, and one that must end first."""
        if place.is_served:
            return 0
        earlier = self._waiting[: self._waiting.index(place)]
        return 1 + sum(bool(one.needs.keys() & place.needs.keys()) for one in earlier)
