"""The one cache of loaded models that all rooms share. Standard library only."""

from __future__ import annotations

import contextlib
import gc
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.errors import CacheFull


class Loader(Protocol):
    """What the cache needs to know of models; the catalogue is one, tests bring their own."""

    def expected_bytes(self, key: str) -> int:
        """Memory to set aside before loading ``key``. Raises if there is no such model."""

    def load(self, key: str) -> Any:
        """Build the model. Slow, may raise; never called twice at a time."""

    def measure_bytes(self, model: Any) -> int:
        """Memory that a loaded model really takes, tensors that it shares with itself once."""


@dataclass
class _Entry:
    """One model, from its first miss to its eviction. ``leases`` counts waiters as well."""

    key: str
    bytes: int = 0
    leases: int = 0
    last_used: float = 0.0
    load_seconds: float = 0.0
    loaded: Future[Any] = field(default_factory=Future)


class ModelCache:
    """Models by key, loaded once, kept while they fit, pinned while they are in use.

    Rules:
        * A lease pins: a model that someone uses, or waits for, is never evicted.
        * Single flight: any number of misses on a key make one load. All wait for it; if it
          fails all get its error, nothing stays behind, and the next lease tries again.
        * Byte budget: a load first reserves what the catalogue expects, making room by dropping
          idle models, least recently used first; then the measured size counts. What still does
          not fit waits ``patience`` seconds for leases to end, then raises ``CacheFull``.
        * One load at a time in the process: transformers and diffusers patch torch while they
          build a model, and two at once can lose weights. A hit never waits for a load.

    Locks: ``_state`` guards every attribute and is held for microseconds; ``_building`` is held
    while a model is built. A thread that wants both takes ``_building`` first.
    """

    def __init__(
        self,
        budget_bytes: int,
        loader: Loader,
        *,
        clock: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] | None = None,
        patience: float = 60.0,
    ) -> None:
        """Make an empty cache.

        Args:
            budget_bytes: What all loaded models may take together.
            loader: Loads and measures models.
            clock: Seconds, for the order of use and the load times.
            memory: Resident bytes of the process, for ``snapshot`` only.
            patience: Seconds that a load waits for room.
        """
        self.budget_bytes = budget_bytes
        self._loader = loader
        self._clock = clock
        self._memory = memory
        self._patience = patience
        self._entries: dict[str, _Entry] = {}
        self._state = threading.Condition(threading.Lock())
        self._building = threading.Lock()
        self._counts = dict.fromkeys(("hits", "misses", "loads", "failures", "evictions"), 0)

    @contextlib.contextmanager
    def lease(self, key: str) -> Iterator[Any]:
        """Load ``key`` if need be and pin it for the body of the ``with`` statement.

        Raises:
            CacheFull: No room within ``patience`` seconds.
            GalleryError: Whatever the loader says, to every waiter.
        """
        entry = self._pin(key)
        try:
            yield entry.loaded.result()
        finally:
            self._unpin(entry)

    def unload(self, key: str) -> bool:
        """Drop ``key`` if nobody uses it; says whether it is gone."""
        with self._state:
            entry = self._entries.get(key)
            if entry and not self._is_idle(entry):
                return False
            if entry:
                self._evict(entry)
        gc.collect()
        return True

    def snapshot(self) -> dict[str, Any]:
        """Return what is loaded and what has happened so far, as plain JSON values."""
        with self._state:
            now = self._clock()
            models = [
                {
                    "key": entry.key,
                    "loaded": entry.loaded.done(),
                    "bytes": entry.bytes,
                    "leases": entry.leases,
                    "idle_seconds": now - entry.last_used if self._is_idle(entry) else 0.0,
                    "load_seconds": entry.load_seconds,
                }
                for entry in self._entries.values()
            ]
            return {
                "budget_bytes": self.budget_bytes,
                "used_bytes": self._used_bytes(),
                "resident_bytes": self._memory() if self._memory else None,
                "waiters": sum(
                    entry.leases for entry in self._entries.values() if not entry.loaded.done()
                ),
                **self._counts,
                "models": models,
            }

    def _pin(self, key: str) -> _Entry:
        """Count one more lease on ``key``, loading it in this thread if it is missing."""
        with self._state:
            entry = self._entries.get(key)
            hit = entry is not None
            self._counts["hits" if hit else "misses"] += 1
            if entry is None:
                entry = self._entries[key] = _Entry(key)
            entry.leases += 1
            entry.last_used = self._clock()
        if not hit:
            self._load(entry)
        return entry

    def _unpin(self, entry: _Entry) -> None:
        with self._state:
            entry.leases -= 1
            entry.last_used = self._clock()
            self._state.notify_all()

    def _load(self, entry: _Entry) -> None:
        """Load into ``entry`` and settle its future, with the model or with the error."""
        try:
            self._reserve(entry, self._loader.expected_bytes(entry.key))
            gc.collect()  # evicted models hold themselves in cycles; free them before building
            with self._building:
                started = self._clock()
                model = self._loader.load(entry.key)
            measured = self._loader.measure_bytes(model)
        except BaseException as error:
            with self._state:
                del self._entries[entry.key]
                self._counts["failures"] += 1
                self._state.notify_all()
            entry.loaded.set_exception(error)
            return
        with self._state:
            entry.bytes = measured
            entry.load_seconds = self._clock() - started
            self._counts["loads"] += 1
            entry.loaded.set_result(model)
            self._evict_until(0)  # the model may be larger than expected
            self._state.notify_all()

    def _reserve(self, entry: _Entry, wanted: int) -> None:
        """Set ``wanted`` bytes aside, or wait for room, or raise ``CacheFull``."""
        deadline = time.monotonic() + self._patience  # real time: it bounds a real wait
        with self._state:
            if wanted > self.budget_bytes:
                raise CacheFull(
                    f"{entry.key} needs {_megabytes(wanted)}, but models may take at most "
                    f"{_megabytes(self.budget_bytes)} here. Choose a smaller model."
                )
            while not self._evict_until(wanted):
                if not self._state.wait(deadline - time.monotonic()):
                    raise CacheFull(
                        f"No memory for {entry.key} now: {self._holders(entry)} in use. "
                        "Try again in a minute, or choose a smaller model."
                    )
            entry.bytes = wanted

    def _evict_until(self, wanted: int) -> bool:
        """Drop idle models, least recently used first, until ``wanted`` more bytes fit."""
        idle = sorted(filter(self._is_idle, self._entries.values()), key=lambda e: e.last_used)
        for entry in idle:
            if self._used_bytes() + wanted <= self.budget_bytes:
                break
            self._evict(entry)
        return self._used_bytes() + wanted <= self.budget_bytes

    def _evict(self, entry: _Entry) -> None:
        del self._entries[entry.key]
        self._counts["evictions"] += 1

    def _holders(self, newcomer: _Entry) -> str:
        """Name what holds the memory."""
        held = [
            f"{entry.key} ({_megabytes(entry.bytes)})"
            for entry in self._entries.values()
            if entry is not newcomer
        ]
        return ", ".join(held) + (" is" if len(held) == 1 else " are")

    def _used_bytes(self) -> int:
        return sum(entry.bytes for entry in self._entries.values())

    @staticmethod
    def _is_idle(entry: _Entry) -> bool:
        return entry.leases == 0 and entry.loaded.done()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
