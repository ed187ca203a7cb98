"""Check every documented figure: measure it and compare it with the documented value.

    python -m benchmarks [--only NAME] [--full] [--json] [--out docs/figures.md]

Each command of ``benchmarks.documented`` runs once, in its short form. If one crashes, takes too
long or prints no JSON, its rows say so and the others still run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.documented import FIGURES, Command, Figure
from shared.settings import ROOT


@dataclass(frozen=True)
class Row:
    """A figure, its measured value, and a state: holds, broken, or why there is no value."""

    figure: Figure
    today: float | None
    state: str


def run(command: Command, full: bool = False) -> dict[str, Any] | str:
    """Return the figures of ``command``, or why there are none."""
    arguments = [] if full else command.short
    try:
        result = subprocess.run(
            [sys.executable, "-m", command.module, *arguments, "--json"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=None if full else command.timeout,
        )
    except subprocess.TimeoutExpired:
        return f"does not run: longer than {command.timeout:g} s"
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit status {result.returncode}"]
        return f"does not run: {lines[-1]}"
    return read_figures(result.stdout) or "does not run: no JSON at the end"


def read_figures(output: str) -> dict[str, Any]:
    """Parse the last line of ``output`` as a JSON object; empty if it is not one."""
    try:
        figures = json.loads(output.strip().splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        return {}
    return figures if isinstance(figures, dict) else {}


def check(figures: Iterable[Figure], full: bool = False) -> list[Row]:
    """Run the command of each figure, each command once, and compare."""
    results: dict[Command, dict[str, Any] | str] = {}
    rows = []
    for figure in figures:
        if figure.command not in results:
            print(f"running {figure.command.module}", file=sys.stderr, flush=True)
            results[figure.command] = run(figure.command, full)
        rows.append(compare(figure, results[figure.command]))
    return rows


def compare(figure: Figure, result: dict[str, Any] | str) -> Row:
    """Compare ``figure`` with the result of its command."""
    if isinstance(result, str):
        return Row(figure, None, result)
    today = result.get(figure.key)
    if not isinstance(today, int | float):
        return Row(figure, None, f"does not run: no {figure.key}")
    return Row(figure, today, "holds" if figure.holds(today) else "broken")


def show_markdown(rows: Sequence[Row]) -> str:
    """Return the text of docs/figures.md: machine, date, and a table of ``rows``."""
    lines = [
        "# Figures",
        "",
        "Written by `make figures`; do not edit. The documented values are in",
        "[benchmarks/documented.py](../benchmarks/documented.py).",
        "",
        f"Machine: {describe_machine()}. {date.today()}, load {os.getloadavg()[0]:.1f} at the end.",
        "",
        "| what | documented | measured | | command |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        figure = row.figure
        stated = f"{figure.direction} {figure.documented:g} {figure.unit}".strip()
        today = "" if row.today is None else f"{row.today:g} {figure.unit}".strip()
        state = row.state.replace("|", "\\|")
        lines.append(
            f"| {figure.what} | {stated} | {today} | {state} | `{figure.command.describe()}` |"
        )
    return "\n".join(lines) + "\n"


def describe_machine() -> str:
    """Return the name of the processor and the number of cores."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.split(":", 1)[1].strip()
                break
    return f"{name}, {os.cpu_count()} cores"


def main() -> None:
    """Check and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="figures whose key or command's module contains this")
    parser.add_argument("--full", action="store_true", help="long forms, without time limits")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--out", type=Path, help="also write the rows as Markdown to this file")
    arguments = parser.parse_args()
    name = arguments.only or ""
    chosen = [figure for figure in FIGURES if name in figure.key or name in figure.command.module]
    if not chosen:
        parser.error(f"no figure or command is named {name}")
    rows = check(chosen, arguments.full)
    for row in rows:
        today = "" if row.today is None else f"{row.today:g}"
        stated = f"{row.figure.direction} {row.figure.documented:g}"
        print(f"{row.figure.what:68} {stated:>16} {today:>10}  {row.state}")
    if arguments.out:
        arguments.out.write_text(show_markdown(rows), encoding="utf-8")
    if arguments.json:
        states = Counter(row.state.split(":")[0] for row in rows)
        counts = {
            "figures": len(rows),
            "hold": states["holds"],
            "broken": states["broken"],
            "failed": states["does not run"],
        }
        print(json.dumps(counts))


if __name__ == "__main__":
    main()
