"""The one cache of loaded models that all rooms share. Standard library only.

docs/model-cache.md draws the states of a model and says why each rule is there.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

from shared.errors import CacheBusy, CacheClosed, CacheFull, OutOfMemory
from shared.loader import HOST, Loader, Progress, Report
from shared.residents import Resident, Residents, Ticket

_RECHECK = 0.25  # seconds between looks at what nobody announces: time passing, visitors leaving


class _Abandoned(Exception):
    """Ends a load that nobody waits for."""


class ModelCache:
    """Models by key, loaded once, kept while they fit, pinned while they are in use.

    A key stands for model, revision and dtype, which the loader fixes; the cache adds the device.

    Rules:
        * A lease pins: a model that someone uses, or waits for, is never evicted; nor is one that
          was just loaded, until its first lease or ``grace`` seconds later.
        * Single flight: any number of misses on a key make one load, in a thread of its own. All
          see its progress, all get its error; a failed load leaves nothing behind. A load that
          nobody waits for any more ends at its next report.
        * Byte budget per device: a load reserves what the loader expects, making room by dropping
          idle models, least recently used first; then the measured bytes count, pieces that models
          share once. What does not fit waits ``patience`` seconds, then raises ``CacheFull``.
        * Memory that runs out in spite of the books: idle models go, and the load is tried again.
        * A model that takes a limited number of leases lends them first come, first served.
        * One load at a time in the process: transformers and diffusers patch torch while they
          build a model, and two at once can lose weights. A hit never waits for a load.

    Locks: ``_lock`` guards every attribute, for microseconds; ``_building`` is held while models
    are built or moved, and taken first. ``_lock`` is re-entrant: the garbage collector may close a
    forgotten generator, and so end its lease, in a thread that holds it.
    """

    def __init__(
        self,
        budget_bytes: int,
        loader: Loader,
        *,
        device_budget: Callable[[str], int] = lambda device: 0,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] | None = None,
        patience: float = 60.0,
        grace: float = 10.0,
        idle_timeout: float | None = None,
    ) -> None:
        """Make an empty cache.

        Args:
            budget_bytes: What all loaded models may take together in host memory.
            loader: Loads and measures models.
            device_budget: The same for any other device, asked when it is first wanted.
            clock: Seconds, for the order of use, load times, grace and idle time.
            memory: Resident bytes of the process, for ``snapshot`` only.
            patience: Seconds that a load waits for room, and a lease for its turn.
            grace: Seconds that a model is kept for its first lease.
            idle_timeout: Seconds after which an unused model is dropped; None never does.
        """
        self._residents = Residents({HOST: budget_bytes}, clock)
        self._loader = loader
        self._device_budget = device_budget
        self._clock = clock
        self._memory = memory
        self._patience = patience
        self._grace = grace
        self._idle_timeout = idle_timeout
        self._closed = threading.Event()
        counts = ("hits", "joins", "misses", "loads", "failures", "cancelled", "parkings")
        self._counts = dict.fromkeys(counts, 0)
        self._make_locks()
        if hasattr(os, "register_at_fork"):
            after_fork = weakref.WeakMethod(self._after_fork)
            os.register_at_fork(after_in_child=lambda: (after_fork() or int)())
        if idle_timeout is not None:
            threading.Thread(target=self._sweep_often, name="idle models", daemon=True).start()

    @contextlib.contextmanager
    def lease(self, key: str, holder: str = "a visitor") -> Iterator[Any]:
        """Load ``key`` if need be and pin it for the body of the ``with`` statement.

        Args:
            key: The model.
            holder: Who has it, for others to read.

        Raises:
            CacheFull: No room, or not one's turn, within ``patience`` seconds; or memory ran out.
            GalleryError: Whatever the loader says, to every waiter.
        """
        resident = self._acquire(key, holder)
        try:
            yield resident.model
        except Exception as error:
            if not self._loader.is_out_of_memory(error):
                raise
            self._drop_idle(resident.device)
            raise OutOfMemory(
                f"Memory ran out while {resident.name} worked. Models that nobody used were "
                "dropped: try again, ask for less, or choose a smaller model."
            ) from error
        finally:
            self._release(resident, holder)

    def prepare(self, key: str) -> Generator[Progress, None, None]:
        """Load ``key`` if need be, yielding its progress until a lease would not wait for it.

        Closing the iterator ends the waiting; the load goes on only if somebody else waits.

        Raises:
            GalleryError: As ``lease``.
        """
        with self._join(key) as resident:
            if resident.settled.is_set():
                return
            resident.watchers += 1
        try:
            yield resident.progress
            while not resident.settled.wait(_RECHECK):
                yield resident.progress
            if resident.error:
                raise resident.error
        finally:
            with self._lock:
                resident.watchers -= 1

    def pin(self, key: str) -> None:
        """Load ``key`` if need be, and never evict it. Raises as ``lease``."""
        with self.lease(key, "the gallery"), self._lock:
            self._residents.by_key[key].pinned = True

    def unload(self, key: str) -> bool:
        """Drop ``key`` if nobody uses it; says whether it is gone."""
        self._drop(lambda one: one.key == key, even_fresh=True)
        return key not in self._residents.by_key

    def sweep(self) -> None:
        """Drop what nobody has used for ``idle_timeout`` seconds."""
        before = self._clock() - (self._idle_timeout or 0.0)
        self._drop(lambda one: one.last_used <= before)

    def close(self, timeout: float = 10.0) -> None:
        """Lend nothing more, end the loads, wait for leases to end, and drop all models."""
        self._closed.set()
        with self._lock:
            self._room.notify_all()
            self._room.wait_for(lambda: not self._residents.at_work(), timeout)
            self._residents.clear()
        self._collect()

    def snapshot(self) -> dict[str, Any]:
        """Return what is loaded and what has happened so far, as plain JSON values."""
        with self._lock:
            now, residents = self._clock(), self._residents
            devices = residents.describe_devices()
            return {
                "budget_bytes": sum(device["budget_bytes"] for device in devices),
                "used_bytes": sum(device["used_bytes"] for device in devices),
                "devices": devices,
                "resident_bytes": self._memory() if self._memory else None,
                "waiters": sum(resident.waiters for resident in residents.all()),
                **self._counts,
                "evictions": residents.evictions,
                "models": [resident.describe(now) for resident in residents.all()],
            }

    # Leases

    @contextlib.contextmanager
    def _join(self, key: str) -> Iterator[Resident]:
        """Give ``key``, loaded or not, under ``_lock``; then start its load if it is new."""
        with self._lock:
            if self._closed.is_set():
                raise CacheClosed("The gallery is shutting down. Start it again to go on.")
            found = self._residents.by_key.get(key)
            if found and not found.parked:
                yield found
                return
            new = Resident(key, self._loader.name(key), self._loader.max_leases(key))
            self._residents.by_key[key] = new
            self._counts["misses"] += 1
            yield new
        try:
            threading.Thread(target=self._load, args=(new, found), name=key, daemon=True).start()
        except RuntimeError as error:  # the system has no more threads
            self._fail(new, error)

    def _acquire(self, key: str, holder: str) -> Resident:
        """Count one more lease on ``key``, after its load and those who came earlier."""
        with self._join(key) as resident:
            if resident.settled.is_set() and not resident.line and resident.has_turn():
                resident.lend(holder)
                self._counts["hits"] += 1
                return resident
            self._counts["joins"] += resident.settled.is_set() or resident.waiters > 0
            resident.line.append(ticket := Ticket(holder))
        try:
            resident.settled.wait()
            if resident.error:
                raise resident.error
            if not ticket.granted.wait(self._patience):
                raise CacheBusy(
                    f"{resident.name} is in use by {', '.join(resident.holders)}, and others wait "
                    "for it. Try again in a minute, or choose another model."
                )
        except BaseException:
            with self._lock:
                if ticket.granted.is_set():
                    self._release(resident, holder)
                elif ticket in resident.line:
                    resident.line.remove(ticket)
            raise
        return resident

    def _release(self, resident: Resident, holder: str) -> None:
        with self._lock:
            resident.take_back(holder, self._clock())
            resident.lend_in_turn()
            if not resident.leases:
                self._residents.trim()
                self._room.notify_all()

    # Loads

    def _load(self, resident: Resident, parked: Resident | None) -> None:
        """Load into ``resident``, or bring it back from host memory. Runs in its own thread."""

        def report(stage: str, done: int = 0, total: int = 0) -> None:
            resident.progress = Progress(stage, done, total)
            self._check_wanted(resident)

        try:
            files = None if parked else self._loader.fetch(resident.key, report)
            self._reserve(resident, parked, report)
            while not self._building.acquire(timeout=_RECHECK):
                report("Waiting for another model to load")
            try:
                self._park_or_forget()
                started = self._clock()
                model = self._build(resident, files, parked, report)
                parts = self._loader.measure(model)
                seconds = self._clock() - started
            finally:
                self._building.release()
            self._check_size(resident.name, sum(parts.values()), [resident.device])
        except BaseException as error:  # whatever it is, those who wait must hear of it
            self._fail(resident, error)
            return
        with self._lock:
            self._residents.settle(resident, parts)
            resident.model, resident.load_seconds = model, seconds
            resident.last_used = self._clock()
            resident.fresh_until = resident.last_used + self._grace
            self._counts["loads"] += 1
            resident.settled.set()
            resident.lend_in_turn()
            self._residents.trim()
            self._room.notify_all()

    def _fail(self, resident: Resident, error: BaseException) -> None:
        with self._lock:
            self._residents.remove(resident)
            resident.error = error
            self._counts["failures"] += not isinstance(error, _Abandoned)
            self._room.notify_all()
        resident.settled.set()

    def _check_wanted(self, resident: Resident) -> None:
        """End a load that nobody waits for; who comes later finds no trace and starts anew."""
        with self._lock:
            if self._closed.is_set():
                raise CacheClosed("The gallery is shutting down. Start it again to go on.")
            if not resident.waiters:
                self._residents.remove(resident)
                self._counts["cancelled"] += 1
                raise _Abandoned

    def _check_size(self, name: str, wanted: int, devices: list[str]) -> list[str]:
        """Those of ``devices`` that can hold ``wanted`` bytes; the host is the last resort."""
        fitting = [device for device in devices if wanted <= self._residents.budgets[device]]
        if not fitting:
            raise CacheFull(self._residents.say_too_large(name, wanted, devices))
        return [device for device in fitting if device != HOST] or fitting

    def _reserve(self, resident: Resident, parked: Resident | None, report: Report) -> None:
        """Choose a device and set memory aside there, or wait for room, or raise."""
        wanted = parked.bytes if parked else self._loader.expected_bytes(resident.key)
        devices = list(self._loader.devices(resident.key))
        for device in devices:
            if device not in self._residents.budgets:
                self._residents.budgets[device] = self._device_budget(device)
        devices = self._check_size(resident.name, wanted, devices)
        deadline = time.monotonic() + self._patience  # real time: it bounds a real wait
        with self._lock:
            while (found := self._residents.find_room(devices, wanted)) is None:
                report("Waiting for memory", 0, 0)
                if (left := deadline - time.monotonic()) <= 0:
                    raise CacheFull(
                        f"No memory for {resident.name}: {self._residents.name_holders(devices)}. "
                        "Try again in a minute, or choose a smaller model."
                    )
                self._room.wait(min(left, _RECHECK))
            resident.device, resident.reserved = found, wanted

    def _build(
        self, resident: Resident, files: Any, parked: Resident | None, report: Report
    ) -> Any:
        """Load the model, or move a parked one back; if memory runs out, once more."""
        for attempt in (1, 2):
            report("Loading", 0, 0)
            try:
                if parked is None:
                    return self._loader.load(resident.key, files, resident.device, report)
                self._loader.move(parked.model, resident.device)
                return parked.model
            except Exception as error:
                if not self._loader.is_out_of_memory(error):
                    raise
            if attempt == 1:  # outside of the handler, where the error held the memory
                self._drop_idle(resident.device)
        raise OutOfMemory(
            f"There is not enough memory for {resident.name}, although all idle models were "
            "dropped. Try again when fewer models are in use, or choose a smaller one."
        )

    # Leaving

    def _park_or_forget(self) -> None:
        """Keep evicted models in host memory where that pays and fits; free what is forgotten."""
        with self._lock:
            leaving, self._residents.leaving = self._residents.leaving, []
        while leaving:
            self._park(leaving.pop())
        self._collect()

    def _park(self, one: Resident) -> None:
        with self._lock:
            parked = [other for other in self._residents.all() if other.parked]
            fits = self._residents.make_room(HOST, one.bytes, parked)
        if fits and self._loader.may_park(one.device):
            with contextlib.suppress(Exception):  # one that cannot be moved is forgotten
                self._loader.move(one.model, HOST)
                one.parts, one.device, one.parked = self._loader.measure(one.model), HOST, True
                with self._lock:
                    self._counts["parkings"] += 1
                    self._residents.by_key.setdefault(one.key, one)
                return
        one.model = None

    def _drop(self, is_chosen: Callable[[Resident], bool], even_fresh: bool = False) -> None:
        """Forget for good what is idle among those that are chosen."""
        with self._lock:
            self._residents.drop(is_chosen, even_fresh)
        self._collect()

    def _drop_idle(self, device: str) -> None:
        """Make all the room there is on ``device``, where memory has run out."""
        self._residents.litter = True  # whatever was half done
        self._drop(lambda one: one.device == device)

    def _collect(self) -> None:
        """Free what was dropped: models hold themselves in cycles."""
        if self._residents.litter:
            self._residents.litter = False
            gc.collect()
            self._loader.free()
            with self._lock:
                self._room.notify_all()

    # Threads and processes

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        self._room = threading.Condition(self._lock)
        self._building = threading.Lock()

    def _after_fork(self) -> None:
        """A forked child has none of the threads that load, lease, or hold a lock."""
        self._make_locks()
        self._residents.forget_visitors()

    def _sweep_often(self) -> None:
        while not self._closed.wait(min(self._idle_timeout or 1.0, 30.0) / 2):
            self.sweep()
