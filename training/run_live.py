"""Run a training script as a subprocess of the gallery, which reads its reports.

    python -m training.run_live /tmp/live train_vae --minutes 5 --count 2000 --samples-every 5

runs ``training.train_vae`` with ``--out /tmp/live/model``. It runs at low priority. It ends when
its standard input closes, which happens on every system when the parent process is killed; then it
also removes the folder, which therefore must be new or empty.

The training pictures are drawn first, on one core so that the others stay free, unless the cache
has at least as many.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import runpy
import shutil
import sys
import threading
import time
from pathlib import Path

import psutil

CRITTERS = 2_000  # drawn in about 15 seconds
MOST_CRITTERS = 20_000  # from the cache: they take 250 MB of memory
CLEANUP_SECONDS = 30.0  # to remove the folder while the training still writes
NICE = 10  # of -20 (first) to 19 (last)


def exit_with_parent(folder: Path) -> None:
    """Start a thread that ends this process, and removes ``folder``, when stdin closes."""

    def wait() -> None:
        # Not sys.stdin: reading it holds a lock that Python needs at exit.
        while os.read(0, 1024):
            pass
        deadline = time.monotonic() + CLEANUP_SECONDS
        while folder.exists() and time.monotonic() < deadline:
            shutil.rmtree(folder, ignore_errors=True)
            if folder.exists():
                time.sleep(0.05)  # the training may still be writing files
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def lower_priority() -> None:
    """Lower the priority of this process."""
    if sys.platform == "win32":
        psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
    else:
        os.nice(NICE)


def count_critters(wanted: int) -> int:
    """Return how many critters to train on: ``wanted``, or more if the cache has more."""
    from training.pictures import critters_file

    any_count = critters_file(0, seed=0)
    cached = [
        int(path.stem.rpartition("-")[2])
        for path in any_count.parent.glob(any_count.name.replace("-0.npz", "-*.npz"))
    ]
    return max((count for count in cached if wanted <= count <= MOST_CRITTERS), default=wanted)


def find_data_folder(usual: Path, fallback: Path) -> Path:
    """Return ``usual``, or ``fallback`` if the former is not writable."""
    try:
        usual.mkdir(parents=True, exist_ok=True)
    except OSError:
        return fallback
    return usual if os.access(usual, os.W_OK) else fallback


def main() -> None:
    """Draw what is missing, then run the script."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, help="new or empty, for all that is written")
    parser.add_argument("script", help="such as train_vae; what follows are its arguments")
    parser.add_argument("--count", type=int, help=f"to train on; {CRITTERS} or more of the cache")
    parser.add_argument("--held-out", type=int, default=500, help="critters to measure on")
    arguments, others = parser.parse_known_args()
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"{folder} is not empty")
    if importlib.util.find_spec(f"training.{arguments.script}") is None:
        parser.error(f"there is no training/{arguments.script}.py")
    exit_with_parent(folder)
    lower_priority()

    # Imported late, since it takes seconds.
    from training import common
    from training.live import write_report
    from training.pictures import load_critters

    common.DATA_CACHE = find_data_folder(common.DATA_CACHE, folder / "data")

    out = folder / "model"
    count = arguments.count or count_critters(CRITTERS)
    total = count + arguments.held_out

    def report(done: int) -> None:
        write_report(out / "live", "data", done=done, total=total, count=count)

    load_critters(count, seed=0, report=report)
    load_critters(arguments.held_out, seed=1, report=lambda done: report(count + done))
    report(total)
    sys.argv[1:] = [
        *("--out", str(out), "--count", str(count), "--held-out", str(arguments.held_out)),
        *others,
    ]
    runpy.run_module(f"training.{arguments.script}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
