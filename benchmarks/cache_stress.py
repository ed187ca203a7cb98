"""The model cache under stress: many threads, a tight budget, failures and cancelled waits.

    python -m benchmarks.cache_stress [--leases 20000] [--threads 64] [--seed 0] [--json]

Twelve fake models of equal size share memory for four. A ledger, independent of the cache, records
models and leases; a model counts as alive until Python has freed it. After each lease, the thread
leases a thirteenth model, which is pinned and so always a hit: the time of these hits is measured.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import threading
import time
from collections import Counter
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from shared.errors import GalleryError, ModelUnavailable
from shared.loader import Loader, Report
from shared.model_cache import ModelCache

MODELS = [f"text/model-{number}" for number in range(12)]
SIZE = 100  # bytes, of every model
PINNED = "text/pinned"
BUDGET = 5 * SIZE  # four of the twelve, and the pinned one
PATIENCE = 60.0  # seconds; much longer than any load here, so a timeout is a lost waiter
FAILURES = 0.05  # share of loads that fail
LEAVING = 0.05  # share of visitors who stop waiting
STAGES = 4  # reports of a load


class Weights:
    """A fake model, which records in the ledger when it is created and freed."""

    def __init__(self, key: str, ledger: Ledger) -> None:
        """Record that it is loaded."""
        self.key = key
        self.ledger = ledger
        ledger.add(key)

    def __del__(self) -> None:
        """Record that it is freed."""
        self.ledger.remove(self.key)


@dataclass
class Ledger:
    """Records loaded models and leases, independently of the cache."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    alive: Counter[str] = field(default_factory=Counter)
    leases: Counter[str] = field(default_factory=Counter)
    duplicate_loads: int = 0
    over_budget: int = 0
    leased_evictions: int = 0
    peak_bytes: int = 0

    def add(self, key: str) -> None:
        """Record a loaded model; check that it is the only one of its key and fits."""
        with self.lock:
            self.duplicate_loads += self.alive[key] > 0
            self.alive[key] += 1
            used = SIZE * self.alive.total()
            self.peak_bytes = max(self.peak_bytes, used)
            self.over_budget += used > BUDGET

    def remove(self, key: str) -> None:
        """Record a freed model; check that it is not leased."""
        with self.lock:
            self.alive[key] -= 1
            self.leased_evictions += self.leases[key] > 0


class FakeLoader(Loader):
    """Loads in about a millisecond with reports, and fails sometimes."""

    def __init__(self, ledger: Ledger, seed: int) -> None:
        """Make a loader; ``seed`` decides which loads fail."""
        self.ledger = ledger
        self.loads = 0
        self._random = random.Random(seed)

    def expected_bytes(self, key: str) -> int:
        """Return the common size."""
        return SIZE

    def load(self, key: str, files: Any, device: str, report: Report) -> Weights:
        """Load in stages, in a millisecond."""
        self.loads += 1
        for stage in range(STAGES):
            time.sleep(0.001 / STAGES)
            report("Loading", stage + 1, STAGES)
        if self._random.random() < FAILURES:
            raise ModelUnavailable(f"{key} is damaged")
        return Weights(key, self.ledger)

    def measure(self, model: Weights) -> Mapping[Hashable, int]:
        """Return one piece of memory."""
        return {id(model): SIZE}

    def move(self, model: Weights, device: str) -> None:
        """Do nothing: there is one device."""


def use(cache: ModelCache, ledger: Ledger, key: str) -> bool:
    """Lease a model and check it; no reference may outlive this function."""
    with cache.lease(key) as model:
        with ledger.lock:
            ledger.leases[key] += 1
        is_right = bool(model.key == key)
        with ledger.lock:
            ledger.leases[key] -= 1
    return is_right


def time_hit(cache: ModelCache) -> float:
    """Return the seconds to lease the pinned model."""
    began = time.perf_counter()
    with cache.lease(PINNED):
        return time.perf_counter() - began


def visit(
    cache: ModelCache, ledger: Ledger, leases: int, seed: int
) -> tuple[Counter[str], list[float]]:
    """Run one thread; return how its visits ended, and the seconds of its hits."""
    rng = random.Random(seed)
    endings: Counter[str] = Counter()
    hits = []
    for _ in range(leases):
        # Some models are more popular, so that there are hits among these, too.
        key = MODELS[min(int(rng.expovariate(0.5)), len(MODELS) - 1)]
        if rng.random() < LEAVING:
            waiting = cache.prepare(key)
            next(waiting, None)
            waiting.close()
            endings["left"] += 1
        else:
            try:
                endings["served" if use(cache, ledger, key) else "mixed up"] += 1
            except GalleryError as error:
                endings[type(error).__name__] += 1
        hits.append(time_hit(cache))
    return endings, hits


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leases", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()

    ledger = Ledger()
    loader = FakeLoader(ledger, arguments.seed)
    cache = ModelCache(BUDGET, loader, patience=PATIENCE, grace=0.05)
    cache.pin(PINNED)
    each, more = divmod(arguments.leases, arguments.threads)
    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.threads) as pool:
        visits = [
            pool.submit(visit, cache, ledger, each + (number < more), number + arguments.seed)
            for number in range(arguments.threads)
        ]
    seconds = time.perf_counter() - began
    endings: Counter[str] = Counter()
    hits: list[float] = []
    for ended in visits:
        endings.update(ended.result()[0])
        hits += ended.result()[1]
    after = cache.snapshot()
    cuts = statistics.quantiles(hits, n=100)
    figures = {
        "duplicate_loads": ledger.duplicate_loads,
        "over_budget": ledger.over_budget,
        "leased_evictions": ledger.leased_evictions,
        "lost_waiters": arguments.leases
        - endings.total()
        + endings["CacheFull"]
        + after["waiters"]
        + sum(model["leases"] for model in after["models"]),
        "hit_p50_us": round(1e6 * cuts[49], 1),
        "hit_p99_us": round(1e6 * cuts[98], 1),
    }
    print(f"{arguments.leases:,} leases by {arguments.threads} threads in {seconds:.1f} s")
    print("  ended:", ", ".join(f"{name} {count:,}" for name, count in endings.most_common()))
    counts = ("loads", "failures", "cancelled", "evictions")
    print("  cache:", ", ".join(f"{name} {after[name]:,}" for name in counts))
    print(f"  most bytes alive at once: {ledger.peak_bytes} of {BUDGET}")
    for name, figure in figures.items():
        print(f"  {name:18} {figure:g}")
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
