"""Trainings that visitors watch: one at a time, each in a process that never outlives its visitor.

``Line`` lets one visitor of the whole server train and tells the others their place.
``follow_training`` runs a training script as a process of its own, passes on what it reports, and
ends it on every way out. No Gradio here, and no torch: that is imported in the process.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
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

FREE_BYTES = 300_000_000  # weights, optimizers and pictures of the longest run, and some to spare
STALL_SECONDS = 300.0  # without a word: even a busy machine draws a sample in less
MOST_THREADS = 8  # more do not make networks this small any faster
MOST_IN_LINE = QUEUES["training"] - 2  # one trains, one is told that the line is full


class Line:
    """A line in which one is served at a time, in the order in which they came.

    One lock guards the queue; nothing else is called while it is held.

    Args:
        most: How many may be in it, the one who is served included.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[Place] = []
        self._moved = threading.Condition()

    @contextmanager
    def join(self) -> Iterator[Place]:
        """Stand in line until the block ends.

        Raises:
            GalleryError: Too many do so already.
        """
        place = Place(self)
        with self._moved:
            if len(self._places) >= self._most:
                raise GalleryError(
                    f"{len(self._places) - 1} visitors are waiting to train already. "
                    "Come back in a while."
                )
            self._places.append(place)
        try:
            yield place
        finally:
            with self._moved:
                self._places.remove(place)
                self._moved.notify_all()

    def __len__(self) -> int:
        with self._moved:
            return len(self._places)


class Place:
    """A place in a line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    @property
    def ahead(self) -> int:
        """How many are before this one; 0 is who is served."""
        with self._line._moved:
            return self._line._places.index(self)

    def wait(self, seconds: float) -> int:
        """Return how many are before this one, once that changes or ``seconds`` are over."""
        with self._line._moved:
            before = self.ahead
            self._line._moved.wait_for(lambda: self.ahead != before, seconds)
            return self.ahead


# Whatever room it is in, a training takes the processor: there is one line for all.
TRAINING_LINE = Line(MOST_IN_LINE)


@dataclass(frozen=True)
class Report:
    """One line of what a training tells; training/live.py says which there are.

    Attributes:
        kind: What it is about.
        figures: Its fields.
        picture: The PNG that it names, if any.
    """

    kind: Literal["data", "reference", "sample", "loss", "score"]
    figures: Mapping[str, Any]
    picture: bytes | None


def follow_training(
    script: str, options: Sequence[str], *, seconds: float = 1.0, keep: Path | None = None
) -> Iterator[Report | None]:
    """Run ``training.<script>`` and yield what it reports until it ends.

    Closing the generator ends the process, whatever it is doing, and removes all that it wrote, but
    for the last model that it handed out if that is to be kept.

    Args:
        script: Name of a module in ``training`` that takes ``--samples-every``.
        options: Its arguments, without ``--out``.
        seconds: At least so often ``None`` comes, so that whoever follows can show the time.
        keep: Where to move that model; nothing is there yet, and it lies on the same disk as
            temporary folders do.

    Raises:
        GalleryError: It cannot be started, or ended before it was done. The message is for
            visitors; what the script wrote last goes to standard error.
    """
    if not (ROOT / "training" / f"{script}.py").is_file():
        raise GalleryError(
            "The training scripts are not here, so nothing can be trained. "
            "Restore them with: git checkout -- training"
        )
    with (
        _temporary_folder() as folder,
        _rescued(folder / "guest" / "model" / "live" / "models", keep),
        _guest(folder, script, options) as process,
    ):
        reports = _Reports(folder / "guest" / "model" / "live")
        heard = time.monotonic()
        while True:
            ended = process.poll() is not None  # asked first: then what is read now is all
            for report in reports.read():
                heard = time.monotonic()
                yield report
            if ended:
                break
            if time.monotonic() - heard > STALL_SECONDS:
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
    """Say in plain words why a training ended with ``returncode`` after writing ``log``."""
    if "ModuleNotFoundError" in log:
        return (
            "Training needs packages that are not installed here: "
            "python -m pip install -r requirements.txt brings them."
        )
    if "No space left on device" in log or "not enough space" in log:
        return "The training ended because the disk of this machine is full. Make room first."
    if "out of memory" in log.lower() or "MemoryError" in log:
        return "The training ended because memory ran out. Try again when fewer models are awake."
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
    """Return how many threads to train with: one less than there are, for everybody else."""
    if sys.platform == "linux":
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    return max(1, min(there - 1, MOST_THREADS))


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Make a folder and remove it in the end. Raises GalleryError where there is no room."""
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
def _rescued(models: Path, keep: Path | None) -> Iterator[None]:
    """In the end, move the latest of ``models``, whose folders are all whole, to ``keep``."""
    try:
        yield
    finally:
        if keep:
            with suppress(
                OSError, ValueError
            ):  # there may be none yet, or no place for it any more
                max(models.iterdir(), key=lambda folder: int(folder.name)).replace(keep)


@contextmanager
def _guest(folder: Path, script: str, options: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Start the script in ``folder`` and kill it, with whatever it started, in the end."""
    threads = count_threads()
    command = [sys.executable, "-m", "training.run_live", str(folder / "guest"), script]
    with (folder / "log.txt").open("wb") as log:
        try:
            process = subprocess.Popen(
                [*command, "--threads", str(threads), *options],
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"},
                stdin=subprocess.PIPE,  # it ends when this closes, however the gallery ends
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is meant for the gallery
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
        family = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        for child in family:
            with suppress(psutil.NoSuchProcess):
                child.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


class _Reports:
    """Reads the reports in a folder as they come, each once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offset = 0

    def read(self) -> Iterator[Report]:
        """Yield what is new; a line that is still being written waits for the next time."""
        try:
            with (self._folder / "reports.jsonl").open("rb") as file:
                file.seek(self._offset)
                text = file.read()
        except FileNotFoundError:  # not begun yet
            return
        whole = text[: text.rfind(b"\n") + 1]
        self._offset += len(whole)
        for line in whole.splitlines():
            figures = json.loads(line)
            name = figures.get("picture")
            picture = (self._folder / name).read_bytes() if name else None
            yield Report(figures["kind"], figures, picture)
