"""Measure the documented figures again and say which still hold.

    python -m benchmarks [--full] [--only NAME] [--json] [--out docs/figures.md]

Every benchmark and every ``training.evaluate_*`` runs once, in a short form that takes about a
quarter of an hour in all on two idle cores; ``--full`` runs them as documented. A command that
crashes, takes too long or prints no figures does not run: the others go on.
``--list`` runs nothing and shows what is documented.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import psutil

from benchmarks.documented import COMMANDS, Command, Figure
from shared.settings import ROOT

State = Literal["holds", "broken", "does not run", "not measured"]


@dataclass(frozen=True)
class Row:
    """A documented figure beside today's.

    Attributes:
        command: What measures it.
        figure: What is documented.
        state: How it ended; "not measured" if this form of the command does not measure it.
        value: Today's figure, if there is one.
        reason: Why the command does not run.
    """

    command: Command
    figure: Figure
    state: State
    value: float | None = None
    reason: str = ""


def measure(command: Command, is_short: bool = True) -> Iterator[Row]:
    """Run ``command`` once and compare what it prints."""
    found, reason = run(command.arguments(is_short), 60 * command.minutes * (1 if is_short else 6))
    for figure in command.figures:
        value = found.get(figure.key)
        if is_short and not figure.is_short:
            yield Row(command, figure, "not measured")
        elif reason or not isinstance(value, int | float):
            why = reason or f"there is no {figure.key} among its figures"
            yield Row(command, figure, "does not run", reason=why)
        else:
            yield Row(command, figure, "holds" if figure.holds(value) else "broken", value)


def run(arguments: Sequence[str], seconds: float) -> tuple[dict[str, Any], str]:
    """Run Python and read the last flat JSON object that it prints.

    Args:
        arguments: Of Python.
        seconds: How long it may take. Then it is ended, with the programs that it started.

    Returns:
        The object, and why there is none; one of both is empty.
    """
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ}
    # Files, not pipes: a program that it started and left behind would keep a pipe open.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = psutil.Popen(
            [sys.executable, *arguments], cwd=ROOT, env=environment, stdout=out, stderr=errors
        )
        try:
            code = process.wait(seconds)
        except psutil.TimeoutExpired:
            end(process)
            return {}, f"it took more than {seconds / 60:.3g} minutes"
        except KeyboardInterrupt:
            end(process)
            raise
        said, complaints = read_lines(out), read_lines(errors)
    if code:
        return {}, complaints[-1] if complaints else f"it ended with code {code}"
    for line in reversed(said):
        found = read_figures(line)
        if found:
            return found, ""
    return {}, "it printed no figures"


def end(process: psutil.Process) -> None:
    """End ``process`` and all that it started."""
    for each in [*process.children(recursive=True), process]:
        try:
            each.kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()


def read_lines(file: Any) -> list[str]:
    """Return the lines of ``file`` that are not empty."""
    file.seek(0)
    return [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]


def read_figures(line: str) -> dict[str, Any]:
    """Return the flat JSON object in ``line``; empty if it is none."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    is_flat = isinstance(found, dict) and not any(
        isinstance(v, dict | list) for v in found.values()
    )
    return found if is_flat else {}


def write_value(value: float | None, unit: str = "") -> str:
    """Write a figure with its unit, a missing one as a dash."""
    return "-" if value is None else f"{value:.4g} {unit}".strip()


def show(row: Row) -> str:
    """Write a row for the terminal."""
    limit = f"{row.figure.direction} {write_value(row.figure.documented, row.figure.unit)}"
    state = f"{row.state}: {row.reason}" if row.reason else row.state
    return f"  {limit:>32} {write_value(row.value):>8}  {state:12}  {row.figure.what}"


def count(rows: Iterable[Row]) -> dict[str, int]:
    """Count the figures that were to be measured, and how they ended."""
    states = Counter(row.state for row in rows)
    return {
        "figures": states.total() - states["not measured"],
        "hold": states["holds"],
        "broken": states["broken"],
        "failed": states["does not run"],
    }


def to_markdown(rows: Sequence[Row], is_short: bool, machine: str) -> str:
    """Write ``docs/figures.md``."""
    form = "in their short forms" if is_short else "in full"
    lines = [
        "# Figures",
        "",
        "Written by `make figures`, which runs `python -m benchmarks` "
        "and compares with what `benchmarks/documented.py` says.",
        "Ratios come from one run in which both sides take turns: machines are noisy.",
        "",
    ]
    if any(row.value is not None for row in rows):
        counts = count(rows)
        lines += [
            f"Measured {form} on {machine}.",
            f"{counts['hold']} of {counts['figures']} figures hold, {counts['broken']} do not, "
            f"{counts['failed']} could not be measured.",
        ]
    else:
        lines += [
            "**Nothing on this page was measured anew.** All documented figures are of earlier "
            "versions of the code, taken by the full commands below on two cores of an AMD EPYC "
            "without a GPU. `make figures` fills in today's.",
        ]
    for command in dict.fromkeys(row.command for row in rows):
        full, short = (
            " ".join(["python", *command.arguments(is_short)]) for is_short in (False, True)
        )
        lines += ["", f"## {command.name.replace('_', ' ').capitalize()}", ""]
        lines += [f"`{full}`" + (f"; short: `{short}`" if short != full else ""), ""]
        lines += [command.note, ""] if command.note else []
        lines += ["| what | documented | today | |", "|---|---|---|---|"]
        for row in rows:
            if row.command == command:
                what, unit = row.figure.what, row.figure.unit
                lines.append(
                    f"| {what} | {write_value(row.figure.documented, unit)} "
                    f"| {write_value(row.value, unit)} | {describe_state(row)} |"
                )
    return "\n".join(lines) + "\n"


def describe_state(row: Row) -> str:
    """Say how a row ended, in a table's cell."""
    reason = row.reason.replace("|", "/").replace(str(ROOT), ".")
    return f"{row.state}: {reason}" if reason else row.state


def describe_machine() -> str:
    """Name the processor, its cores, the day and the load."""
    now = datetime.now(UTC).date().isoformat()
    load = f", load {psutil.getloadavg()[0]:.1f} at the start"
    return f"{name_processor()}, {psutil.cpu_count()} cores, {now}{load}"


def name_processor() -> str:
    """Name the processor as the system does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def main(commands: Sequence[Command] = COMMANDS) -> None:
    """Measure, compare and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [command.name for command in commands]
    parser.add_argument("--full", action="store_true", help="run the commands as documented")
    parser.add_argument("--only", choices=names, metavar="NAME", help=f"one of {', '.join(names)}")
    parser.add_argument("--list", action="store_true", help="run nothing")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--out", type=Path, help="also write the figures to this Markdown file")
    arguments = parser.parse_args()
    machine, is_short = describe_machine(), not arguments.full
    rows: list[Row] = []
    for command in commands:
        if arguments.only in (None, command.name):
            words = " ".join(["python", *command.arguments(is_short)])
            print(words, flush=True)
            if arguments.list:
                new = [Row(command, figure, "not measured") for figure in command.figures]
            else:
                new = list(measure(command, is_short))
            print(*map(show, new), sep="\n", flush=True)
            rows += new
    if arguments.out:
        arguments.out.write_text(to_markdown(rows, is_short, machine), encoding="utf-8")
    counts = count(rows)
    if arguments.json:
        print(json.dumps(counts))
    if counts["broken"] or counts["failed"]:
        sys.exit(1)


if __name__ == "__main__":
    main()
