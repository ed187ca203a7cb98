"""What several benchmarks share: medians of alternating runs, Chromium, printing of figures."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

Result = TypeVar("Result")


def measure_seconds(function: Callable[[], object]) -> float:
    """Return the seconds that ``function`` takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def alternate(
    functions: Mapping[str, Callable[[], Result]],
    rounds: int,
    measure: Callable[[Callable[[], Result]], float] = measure_seconds,
    warm_up: int = 1,
) -> dict[str, float]:
    """Measure ``functions`` alternately; return their medians after ``warm_up`` more rounds."""
    results: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + warm_up):
        for name, function in functions.items():
            result = measure(function)
            if number >= warm_up:
                results[name].append(result)
    return {name: statistics.median(values) for name, values in results.items()}


def find_chromium() -> str:
    """Return the path of the system's Chromium; exit with a message if there is none."""
    for name in ("chromium", "chromium-browser", "chrome"):
        if path := shutil.which(name):
            return path
    sys.exit("This needs Chromium: install the one of your system.")


def print_figures(figures: Mapping[str, float], as_json: bool, digits: int = 3) -> None:
    """Print ``figures`` and the load of the machine; with ``as_json`` end with a line of JSON."""
    for name, figure in figures.items():
        print(f"{name:26} {figure:8.{digits}f}")
    print(f"on {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if as_json:
        print(json.dumps({name: round(figure, digits) for name, figure in figures.items()}))
