"""The one place for files that last no longer than a visit or the process.

Each process has a folder of its own. While the process lives it holds a lock in the folder, which
the system gives back however the process ends. So three rules leave nothing behind:

- A sweep removes what visitors were given once it is old; whether Gradio knows of it or not.
- The folder is removed when the process ends in good order.
- If it was killed, the next start finds the folder without a holder of its lock, and removes it.
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

# Seconds between sweeps of what visitors were given, and how old it may get.
SWEEP_SECONDS, MOST_AGE = 3600, 86_400
PREFIX = "generative-gallery-"
_GIVEN = "made"


class ProcessFolder:
    """A folder of this process, gone when the process is; nobody else on the machine can read it.

    Attributes:
        path: For files that nobody is served.
        served: A folder in it, for files that Gradio serves by their address.

    Args:
        base: An existing folder where it is made.

    Raises:
        OSError: Nothing can be written there.
    """

    def __init__(self, base: Path) -> None:
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve()
            self._lock = FileLock(self.path / "lock")
            with suppress(Timeout):
                # Another start may look whether this folder is abandoned, just before it is locked.
                self._lock.acquire(timeout=0)
                break
        self._owner = os.getpid()
        self.served = self.path / "served"
        self.served.mkdir()

    def close(self) -> None:
        """Remove the folder. Later calls do nothing, nor do those of forked processes."""
        if os.getpid() != self._owner:
            return
        shutil.rmtree(self.served, ignore_errors=True)
        self._lock.release()  # Windows removes no file that is open
        shutil.rmtree(self.path, ignore_errors=True)


def open_process_folder() -> ProcessFolder:
    """Make this process's folder, make Gradio serve from it, and keep it swept.

    It lies in ``GRADIO_TEMP_DIR``, if that is set, or among the system's temporary files. Folders
    that were abandoned there are removed. To be called before any component is made.

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

    def sweep_now_and_then() -> None:
        while True:
            time.sleep(SWEEP_SECONDS)
            sweep(folder.served)

    atexit.register(folder.close)
    threading.Thread(target=sweep_now_and_then, daemon=True).start()
    return folder


def remove_abandoned(base: Path) -> None:
    """Remove the folders in ``base`` whose processes have ended."""
    for folder in base.glob(f"{PREFIX}*"):
        with suppress(OSError, Timeout):  # also those of other users
            lock = folder / "lock"
            if lock.is_file():  # else it is being made this moment
                with FileLock(lock, timeout=0):
                    shutil.rmtree(folder / "served", ignore_errors=True)
                shutil.rmtree(folder, ignore_errors=True)


def new_file(served: Path, name: str) -> Path:
    """Return the path of a file to write below ``served``, in a folder of its own.

    ``sweep`` removes it and its folder when it is ``MOST_AGE`` seconds old.
    """
    given = served / _GIVEN
    given.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=given), name)


def sweep(served: Path, *, now: float | None = None) -> None:
    """Remove what ``new_file`` gave out and nobody wrote to for ``MOST_AGE`` seconds.

    Gradio removes its own files, and leaves their folders; those that are old and empty go, too.

    Args:
        served: As for ``new_file``.
        now: Seconds since the epoch; by default the present.
    """
    oldest = (time.time() if now is None else now) - MOST_AGE
    for folder in served.glob("*/"):
        with suppress(OSError):  # it has gone, or something came into it this moment
            if folder.name != _GIVEN and folder.stat().st_mtime < oldest:
                folder.rmdir()
    for folder in served.glob(f"{_GIVEN}/*/"):
        with suppress(OSError):
            if max(path.stat().st_mtime for path in (folder, *folder.iterdir())) < oldest:
                shutil.rmtree(folder, ignore_errors=True)
