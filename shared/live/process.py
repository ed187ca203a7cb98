"""Trainings that visitors watch: one at a time, each in a process that never outlives its visitor.

``join_training_queue`` lets one visitor of the whole server train; the others see their position.
``follow_training`` runs a training script in a subprocess, yields its reports, and always ends the
subprocess. No Gradio and no torch here: the subprocess imports torch.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from shared.errors import GalleryError
from shared.limits import QUEUES
from shared.settings import ROOT
from shared.turns import QueuedRequest, Turns

FREE_BYTES = 300_000_000  # weights, optimizers and pictures of the longest run, with a margin
STALL_SECONDS = 300.0  # without a report: even a busy machine draws a sample in less
MOST_THREADS = 8  # networks this small do not get faster with more
MOST_IN_LINE = QUEUES["training"] - 2  # the rest may enter to see that the queue is full


# A training uses most of the processor, so one runs at a time on the whole server.
TRAINING = "training"
TRAINING_TURNS = Turns({TRAINING: 1})


@contextmanager
def join_training_queue() -> Iterator[QueuedRequest]:
    """Wait in ``TRAINING_TURNS``, and train once ``wait`` returns 0; leaving the block ends that.

    Raises:
        GalleryError: ``MOST_IN_LINE`` visitors are in the queue already.
    """
    with TRAINING_TURNS.join({TRAINING: 1}) as place:
        ahead = place.wait(0)
        if ahead >= MOST_IN_LINE:
            raise GalleryError(
                f"{ahead - 1} visitors are waiting to train already. Come back in a while."
            )
        yield place


@dataclass(frozen=True)
class Report:
    """One report of a training; training/live.py documents all kinds and their fields.

    Attributes:
        kind: What it reports.
        figures: Its fields.
        picture: The PNG file that it names, if any.
    """

    kind: Literal["data", "reference", "sample", "loss", "score"]
    figures: Mapping[str, Any]
    picture: bytes | None


def follow_training(
    script: str, options: Sequence[str], *, seconds: float = 1.0, keep: Path | None = None
) -> Iterator[Report | None]:
    """Run ``training.<script>`` and yield its reports until it ends.

    Closing the generator kills the process and removes its files, except the last exported model
    if ``keep`` is given.

    Args:
        script: Name of a module in ``training`` that takes ``--samples-every``.
        options: Its arguments, without ``--out``.
        seconds: ``None`` is yielded at least this often, so that the caller can update its clock.
        keep: Where to move the last exported model. The path must not exist yet, and must be on
            the same disk as temporary folders.

    Raises:
        GalleryError: The training cannot start, or failed. The message is for visitors; the end of
            the script's log goes to standard error.
    """
    if not (ROOT / "training" / f"{script}.py").is_file():
        raise GalleryError(
            "The training scripts are not here, so nothing can be trained. "
            "Restore them with: git checkout -- training"
        )
    with (
        _temporary_folder() as folder,
        _keep_last_model(folder / "run" / "model" / "live" / "models", keep),
        _start_process(folder, script, options) as process,
    ):
        reports = _Reports(folder / "run" / "model" / "live")
        last_report = time.monotonic()
        while True:
            ended = process.poll() is not None  # before reading, so that no report is missed
            for report in reports.read():
                last_report = time.monotonic()
                yield report
            if ended:
                break
            if time.monotonic() - last_report > STALL_SECONDS:
                raise GalleryError(
                    "The training has not answered for minutes, so it was ended. This machine may "
                    "be too busy. Try again later."
                )
            yield None
            with suppress(subprocess.TimeoutExpired):
                process.wait(seconds)
        if process.returncode:
            log = (folder / "log.txt").read_text(encoding="utf-8", errors="replace")
            print(f"A live training failed:\n{log[-2000:]}", file=sys.stderr)
            raise GalleryError(explain_end(process.returncode, log))


def explain_end(returncode: int, log: str) -> str:
    """Return a message for visitors: why a training ended with ``returncode`` and this ``log``."""
    if "ModuleNotFoundError" in log:
        return (
            "Training needs packages that are not installed here: "
            "python -m pip install -r requirements.txt brings them."
        )
    if "No space left on device" in log or "not enough space" in log:
        return "The training ended because the disk of this machine is full. Make room first."
    if "out of memory" in log.lower() or "MemoryError" in log:
        return "The training ended because memory ran out. Try again when fewer models are loaded."
    if returncode < 0 or returncode == 137:
        return (
            "The training was ended from outside, perhaps because memory ran out. "
            "What it drew stays here; press the button to start again."
        )
    return (
        "The training ended with an error, which the gallery's log describes. "
        "What it drew stays here; press the button to start again."
    )


def count_threads() -> int:
    """Return how many threads to train with: one core stays free for other visitors."""
    if sys.platform == "linux":
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores - 1, MOST_THREADS))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder and remove it in the end. Raises GalleryError without enough disk space."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="gallery-training-"))
    except OSError as error:
        raise GalleryError(
            "Training needs a place for its files, but this machine lets the gallery write to no "
            "temporary folder. Whoever runs it can set TMPDIR to one."
        ) from error
    try:
        if shutil.disk_usage(folder).free < FREE_BYTES:
            raise GalleryError(
                f"Training needs {FREE_BYTES / 1e6:.0f} MB of disk, and this machine has less "
                "to spare."
            )
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _keep_last_model(models: Path, keep: Path | None) -> Iterator[None]:
    """In the end, move the latest folder of ``models``, which are all complete, to ``keep``."""
    try:
        yield
    finally:
        if keep:
            # There may be no model yet, and the folder of ``keep`` may be gone.
            with suppress(OSError, ValueError):
                max(models.iterdir(), key=lambda folder: int(folder.name)).replace(keep)


@contextmanager
def _start_process(
    folder: Path, script: str, options: Sequence[str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Start the script in ``folder``; in the end kill it and its child processes."""
    threads = count_threads()
    command = [sys.executable, "-m", "training.run_live", str(folder / "run"), script]
    with (folder / "log.txt").open("wb") as log:
        try:
            process = subprocess.Popen(
                [*command, "--threads", str(threads), *options],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"},
                stdin=subprocess.PIPE,  # closes however the gallery ends; the script then exits
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal must reach the gallery only
            )
        except OSError as error:
            raise GalleryError(
                "This machine lets the gallery start no process, which training needs."
            ) from error
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


class _Reports:
    """Reads each report in a folder once, as it is written."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offset = 0

    def read(self) -> Iterator[Report]:
        """Yield new reports; an incomplete last line is left for the next call."""
        try:
            with (self._folder / "reports.jsonl").open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:  # no report yet
            return
        complete = text[: text.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            figures = json.loads(line)
            name = figures.get("picture")
            picture = (self._folder / name).read_bytes() if name else None
            yield Report(figures["kind"], figures, picture)
