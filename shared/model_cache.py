"""The cache of loaded models, shared by all rooms. Standard library only.

docs/model-cache.md has a diagram of a model's states and the reason for each rule.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from typing import Any

from shared.cache_entries import CacheEntries, CacheEntry, IsChosen
from shared.errors import CacheClosed, CacheFull, CacheUnavailable, ModelUnavailable, OutOfMemory
from shared.loader import HOST, Loader, Progress, Report

_log = logging.getLogger(__name__)
_POLL_SECONDS = 0.25  # between checks of conditions that notify nobody, such as timeouts


class _Abandoned(Exception):
    """Ends a load that nobody waits for any more."""


class ModelCache:
    """Models by key: loaded once, kept while they fit, pinned while they are in use.

    The loader decides model, revision and dtype of a key; the cache decides the device.

    Rules:
        * A lease pins: a model that is in use or waited for is never evicted; nor is one that was
          just loaded, until its first lease or for ``grace`` seconds.
        * Single flight: all misses on a key share one load, in its own thread, with its progress
          and its error. A failed load leaves nothing behind. A load that nobody waits for any more
          ends at its next report.
        * Byte budget per device: a load reserves what the loader expects and evicts idle models,
          least recently used first; after the load the measured bytes count, shared pieces once.
          A load that does not fit waits ``patience`` seconds, then raises ``CacheFull``; one that
          can never fit is refused before its files are fetched.
        * If memory runs out nevertheless, idle models are dropped and the load is tried once more.
        * One load at a time in the process: transformers and diffusers patch torch while they
          build a model, and two at once can lose weights. A hit never waits for a load.

    Locks: ``_lock`` guards all attributes and is held for microseconds. ``_building`` is held while
    models are built or moved, and acquired first. ``_lock`` is re-entrant: in a thread that holds
    it, the garbage collector may close a generator and so end its lease.
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
            budget_bytes: Most bytes of all loaded models in host memory.
            loader: Loads and measures models.
            device_budget: The same for another device; called when that is first needed.
            clock: Time in seconds, for the order of use, load times, grace and idle time.
            memory: Returns the resident bytes of the process, for ``snapshot`` only.
            patience: Seconds that a load waits for room.
            grace: Seconds that a model is kept for its first lease.
            idle_timeout: Seconds after which an unused model is dropped; None never does.
        """
        self._entries = CacheEntries({HOST: budget_bytes}, clock)
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
        """Load ``key`` if necessary and pin it for the body of the ``with`` statement.

        Args:
            key: The model.
            holder: Who uses it, shown to others.

        Raises:
            CacheUnavailable: No room within ``patience`` seconds, or memory ran out.
            GalleryError: The loader's error, for every waiter.
        """
        entry = self._acquire(key, holder)
        try:
            yield entry.model
        except Exception as error:
            if not self._loader.is_out_of_memory(error):
                raise
            self._drop_idle(entry.device)
            raise OutOfMemory(
                f"Memory ran out while {entry.name} worked. Models that nobody used were "
                "dropped: try again, ask for less, or choose a smaller model."
            ) from error
        finally:
            self._release(entry, holder)

    def prepare(self, key: str) -> Generator[Progress, None, None]:
        """Load ``key`` if necessary and yield its progress until it can be leased at once.

        After the iterator is closed, the load continues only if others wait for it.

        Raises:
            GalleryError: As ``lease``.
        """
        with self._join(key) as entry:
            if entry.ready.is_set():
                return
            entry.waiters += 1
        try:
            yield entry.progress
            while not entry.ready.wait(_POLL_SECONDS):
                yield entry.progress
            if entry.error:
                raise entry.error
        finally:
            with self._lock:
                entry.waiters -= 1

    def pin(self, key: str) -> None:
        """Load ``key`` if necessary and never evict it. Raises as ``lease``."""
        with self.lease(key, "the gallery"), self._lock:
            self._entries.by_key[key].pinned = True

    def unload(self, key: str) -> bool:
        """Drop ``key`` if nobody uses it; return whether it is gone."""
        self._drop(lambda one: one.key == key, "a visitor unloaded it", even_fresh=True)
        return key not in self._entries.by_key

    def sweep(self) -> None:
        """Drop models that nobody has used for ``idle_timeout`` seconds."""
        before = self._clock() - (self._idle_timeout or 0.0)
        self._drop(lambda one: one.last_used <= before, "it was idle for long")

    def close(self, timeout: float = 10.0) -> None:
        """Refuse new leases, end the loads, wait for leases to end, and drop all models."""
        self._closed.set()
        with self._lock:
            self._room.notify_all()
            self._room.wait_for(lambda: not self._entries.active(), timeout)
            self._entries.clear()
        self._collect()

    def snapshot(self) -> dict[str, Any]:
        """Return what is loaded and all counts so far, as JSON values."""
        with self._lock:
            now, entries = self._clock(), self._entries
            devices = entries.describe_devices()
            return {
                "budget_bytes": sum(device["budget_bytes"] for device in devices),
                "used_bytes": sum(device["used_bytes"] for device in devices),
                "devices": devices,
                "resident_bytes": self._memory() if self._memory else None,
                "waiters": sum(entry.waiters for entry in entries.all()),
                **self._counts,
                "evictions": entries.evictions,
                "models": [entry.describe(now) for entry in entries.all()],
            }

    # Leases

    @contextlib.contextmanager
    def _join(self, key: str) -> Iterator[CacheEntry]:
        """Yield the entry of ``key`` under ``_lock``; then start its load if the entry is new."""
        with self._lock:
            self._check_open()
            found = self._entries.by_key.get(key)
            if found and not found.parked:
                yield found
                return
            new = CacheEntry(key, self._loader.name(key))
            self._entries.by_key[key] = new
            self._counts["misses"] += 1
            yield new
        try:
            threading.Thread(target=self._load, args=(new, found), name=key, daemon=True).start()
        except RuntimeError as error:  # no more threads
            self._fail(new, error)

    def _acquire(self, key: str, holder: str) -> CacheEntry:
        """Add a lease on ``key``, after its load."""
        with self._join(key) as entry:
            if entry.ready.is_set():
                entry.acquire(holder)
                self._counts["hits"] += 1
                return entry
            self._counts["joins"] += entry.waiters > 0
            entry.waiters += 1
        try:
            entry.ready.wait()
            with self._lock:
                if entry.error:
                    raise entry.error
                self._check_open()
                entry.acquire(holder)
            return entry
        finally:
            with self._lock:
                entry.waiters -= 1

    def _release(self, entry: CacheEntry, holder: str) -> None:
        with self._lock:
            entry.release(holder, self._clock())
            if not entry.leases:
                self._entries.trim()
                self._room.notify_all()
        self._entries.log_evictions()

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise CacheClosed("The gallery is shutting down. Start it again to go on.")

    # Loads

    def _load(self, entry: CacheEntry, parked: CacheEntry | None) -> None:
        """Load ``entry``, or move it back from host memory. Runs in its own thread."""

        def report(stage: str, done: int = 0, total: int = 0) -> None:
            entry.progress = Progress(stage, done, total)
            self._check_wanted(entry)

        try:
            wanted = parked.bytes if parked else self._loader.expected_bytes(entry.key)
            devices = self._choose_devices(entry, wanted)
            files = None if parked else self._loader.fetch(entry.key, report)
            self._reserve(entry, wanted, devices, report)
            while not self._building.acquire(timeout=_POLL_SECONDS):
                report("Waiting for another model to load")
            try:
                self._park_or_forget()
                started = self._clock()
                model = self._build(entry, files, parked, report)
                parts = self._loader.measure(model)
                seconds = self._clock() - started
            finally:
                self._building.release()
            self._entries.check_size(entry.name, sum(parts.values()), [entry.device])
        except BaseException as error:  # any error must reach the waiters
            self._fail(entry, error)
            return
        with self._lock:
            self._entries.record_size(entry, parts)
            entry.model, entry.load_seconds = model, seconds
            entry.keep_until_used(self._clock(), self._grace)
            self._counts["loads"] += 1
            entry.ready.set()
            self._entries.trim()
            self._room.notify_all()
        _log.info("Loaded %s in %.1f s", entry, seconds)
        self._entries.log_evictions()

    def _fail(self, entry: CacheEntry, error: BaseException) -> None:
        with self._lock:
            self._entries.remove(entry)
            entry.error = error
            self._counts["failures"] += not isinstance(error, _Abandoned)
            self._room.notify_all()
        self._entries.log_evictions()
        if not isinstance(error, _Abandoned):
            # Other messages may contain the key of a visitor's own model, in a path.
            is_public = isinstance(error, (CacheUnavailable, ModelUnavailable))
            _log.warning("No %s: %s", entry.name, error if is_public else type(error).__name__)
        entry.ready.set()

    def _check_wanted(self, entry: CacheEntry) -> None:
        """End the load if nobody waits for it; a later request starts a new one."""
        with self._lock:
            self._check_open()
            if not entry.waiters:
                self._entries.remove(entry)
                self._counts["cancelled"] += 1
                raise _Abandoned

    def _choose_devices(self, entry: CacheEntry, wanted: int) -> list[str]:
        """Return where ``wanted`` bytes can fit at all, best first. Raises ``CacheFull``."""
        devices = list(self._loader.devices(entry.key))
        for device in devices:
            if device not in self._entries.budgets:
                self._entries.budgets[device] = self._device_budget(device)
        return self._entries.check_size(entry.name, wanted, devices)

    def _reserve(self, entry: CacheEntry, wanted: int, devices: list[str], report: Report) -> None:
        """Reserve memory on one of ``devices``, waiting for room. Raises ``CacheFull``."""
        deadline = time.monotonic() + self._patience  # not _clock: it bounds a real wait
        with self._lock:
            while (found := self._entries.find_room(devices, wanted)) is None:
                report("Waiting for memory", 0, 0)
                if (left := deadline - time.monotonic()) <= 0:
                    raise CacheFull(
                        f"No memory for {entry.name}: {self._entries.describe_holders(devices)}. "
                        "Try again in a minute, or choose a smaller model."
                    )
                self._room.wait(min(left, _POLL_SECONDS))
            entry.device, entry.reserved = found, wanted

    def _build(
        self, entry: CacheEntry, files: Any, parked: CacheEntry | None, report: Report
    ) -> Any:
        """Load the model or move a parked one back; try twice if memory runs out."""
        for attempt in (1, 2):
            report("Loading", 0, 0)
            try:
                if parked is None:
                    return self._loader.load(entry.key, files, entry.device, report)
                self._loader.move(parked.model, entry.device)
                return parked.model
            except Exception as error:
                if not self._loader.is_out_of_memory(error):
                    raise
            if attempt == 1:  # outside the handler, where the traceback keeps memory alive
                self._drop_idle(entry.device)
        raise OutOfMemory(
            f"There is not enough memory for {entry.name}, although all idle models were "
            "dropped. Try again when fewer models are in use, or choose a smaller one."
        )

    # Eviction

    def _park_or_forget(self) -> None:
        """Park evicted models in host memory if they fit and it pays; free the others."""
        with self._lock:
            evicted, self._entries.evicted = self._entries.evicted, []
        while evicted:
            self._park(evicted.pop())
        self._collect()

    def _park(self, entry: CacheEntry) -> None:
        with self._lock:
            parked = [other for other in self._entries.all() if other.parked]
            fits = self._entries.make_room(HOST, entry.bytes, parked)
        if fits and self._loader.may_park(entry.device):
            with contextlib.suppress(Exception):  # a model that cannot be moved is dropped
                self._loader.move(entry.model, HOST)
                entry.parts = self._loader.measure(entry.model)
                entry.device, entry.parked = HOST, True
                with self._lock:
                    self._counts["parkings"] += 1
                    self._entries.by_key.setdefault(entry.key, entry)
                return
        entry.model = None

    def _drop(self, is_chosen: IsChosen, reason: str, even_fresh: bool = False) -> None:
        """Evict the chosen idle entries without parking them, and free their memory."""
        with self._lock:
            self._entries.drop(is_chosen, reason, even_fresh)
        self._collect()

    def _drop_idle(self, device: str) -> None:
        self._entries.needs_collection = True  # for what a failed load left
        self._drop(lambda one: one.device == device, "memory ran out")

    def _collect(self) -> None:
        """Free dropped models, which are in reference cycles."""
        self._entries.log_evictions()
        if self._entries.needs_collection:
            self._entries.needs_collection = False
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
        """Reset locks and leases: a forked child has no other threads."""
        self._make_locks()
        self._entries.forget_visitors()

    def _sweep_often(self) -> None:
        while not self._closed.wait(min(self._idle_timeout or 1.0, 30.0) / 2):
            self.sweep()
