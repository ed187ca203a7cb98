"""The folder for files that are needed no longer than a visit or the process.

Each process has its own folder and holds a lock in it, which the system releases however the
process ends. Nothing is left behind:

- A regular sweep removes old files that visitors were given, whether Gradio knows of them or not.
- The folder is removed at a normal exit.
- If the process was killed, the next start finds the folder unlocked and removes it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from shared.errors import GalleryError

# Seconds between sweeps, and the age in seconds at which files are removed.
SWEEP_SECONDS, MAX_AGE = 3600, 86_400
PREFIX = "generative-gallery-"
_NEW_FILES = "made"


class ProcessFolder:
    """The temporary folder of this process, readable only by its user.

    Attributes:
        path: The folder, for files that are not served.
        served: A folder in it for files that Gradio serves.

    Args:
        base: An existing folder to create it in.

    Raises:
        OSError: Nothing can be written there.
    """

    def __init__(self, base: Path) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve()
            self._lock = FileLock(self.path / "lock")
            with suppress(Timeout):
                # Another start may be testing this lock, see ``remove_abandoned``.
                self._lock.acquire(timeout=0)
                break
        self._owner = os.getpid()
        self.served = self.path / "served"
        self.served.mkdir()

    def close(self) -> None:
        """Remove the folder. Does nothing the second time, and in forked processes."""
        if os.getpid() != self._owner:
            return
        shutil.rmtree(self.served, ignore_errors=True)
        self._lock.release()  # Windows cannot remove open files
        shutil.rmtree(self.path, ignore_errors=True)


def open_process_folder() -> ProcessFolder:
    """Create this process's folder, let Gradio use it, and sweep it regularly.

    It is created in ``GRADIO_TEMP_DIR`` or the system's temporary folder; abandoned ones there are
    removed. To be called before any component is created.

    Raises:
        GalleryError: Nothing can be written there.
    """
    try:
        base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir())
        base.mkdir(parents=True, exist_ok=True)
        remove_abandoned(base)
        folder = ProcessFolder(base)
    except OSError as error:
        raise GalleryError(
            "This machine lets the gallery write to no temporary folder. Set TMPDIR to one."
        ) from error
    os.environ["GRADIO_TEMP_DIR"] = str(folder.served)

    def sweep_regularly() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            sweep(folder.served)

    atexit.register(folder.close)
    threading.Thread(target=sweep_regularly, daemon=True).start()
    return folder


def remove_abandoned(base: Path) -> None:
    """Remove the folders in ``base`` whose process has ended."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # such as folders of other users
            lock = folder / "lock"
            if lock.is_file():  # else it is just being created
                with FileLock(lock, timeout=0):
                    shutil.rmtree(folder / "served", ignore_errors=True)
                shutil.rmtree(folder, ignore_errors=True)


def new_file(served: Path, name: str) -> Path:
    """Return the path of a new file below ``served``, in a new folder.

    ``sweep`` removes both after ``MAX_AGE`` seconds.
    """
    parent = served / _NEW_FILES
    parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=parent), name)


def sweep(served: Path, *, now: float | None = None) -> None:
    """Remove files of ``new_file`` that were last written ``MAX_AGE`` seconds ago.

    Gradio removes its own files but not their folders; old empty ones are removed, too.

    Args:
        served: As for ``new_file``.
        now: Time in seconds since the epoch; by default the current time.
    """
    oldest = (time.time() if now is None else now) - MAX_AGE
    for folder in served.glob("*/"):
        with suppress(OSError):  # it has just been removed or filled
            if folder.name != _NEW_FILES and folder.stat().st_mtime < oldest:
                folder.rmdir()
    for folder in served.glob(f"{_NEW_FILES}/*/"):
        with suppress(OSError):
            if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < oldest:
                shutil.rmtree(folder, ignore_errors=True)
