"""Where checkpoints come from: this repository, an installed package, a folder. See also hub.py.

Each source says whether the model is here and returns its folder. The messages of
``ModelUnavailable`` begin with a verb; the catalogue puts the model's title in front.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn, Protocol

from filelock import FileLock, Timeout

from shared.errors import ModelUnavailable
from shared.loader import Report
from shared.settings import ROOT, Settings

_STAGE = "Converting, which is done once and takes about half a minute"
_POLL_SECONDS = 0.25  # between calls of ``report``, which raises when nobody waits any more


class Source(Protocol):
    """A place that a checkpoint can come from."""

    @property
    def version(self) -> str:
        """Which weights these are, for recipes."""

    @property
    def remedy(self) -> str:
        """What to do if its files are damaged."""

    def is_here(self, settings: Settings) -> bool:
        """Whether it can be loaded without a download. Cheap; uses no network."""

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder to load, downloaded or converted first if necessary.

        Raises:
            ModelUnavailable: It cannot be provided; the message says why.
            Exception: Any that ``report`` raises ends a download or a conversion.
        """


@dataclass(frozen=True)
class Bundled:
    """A folder of this repository, in ``models``.

    Attributes:
        name: Name of the folder.
    """

    name: str

    @property
    def version(self) -> str:
        """Bundled weights have the version of the gallery."""
        return "bundled"

    @property
    def remedy(self) -> str:
        """The command that restores the folder."""
        return f"Restore it with: git checkout -- models/{self.name}"

    def is_here(self, settings: Settings) -> bool:
        """Whether the folder is there."""
        return self._find(settings).is_dir()

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder."""
        if not self.is_here(settings):
            raise ModelUnavailable(
                f"is missing: there is no folder models/{self.name}. {self.remedy}"
            )
        return self._find(settings)

    def _find(self, settings: Settings) -> Path:
        return settings.models_dir / self.name


@dataclass(frozen=True)
class Folder:
    """A checkpoint folder that the operator names."""

    path: Path

    @property
    def version(self) -> str:
        """Nothing is known of its weights."""
        return "local"

    @property
    def remedy(self) -> str:
        """Points to the setting: only the operator knows where the folder came from."""
        return f"Check the folder {self.path.name!r} that GALLERY_LOCAL_MODELS names."

    def is_here(self, settings: Settings) -> bool:
        """Whether the folder is there."""
        return self.path.is_dir()

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder. One without safetensors or GGUF is refused: a pickle can run code.

        The exception is audiocraft's own format: its pickles are read with ``weights_only``.
        """
        if not self.is_here(settings):
            raise ModelUnavailable(f"is missing: its folder is gone. {self.remedy}")
        readable = ("*.safetensors", "*.gguf", "compression_state_dict.bin")
        if not any(any(self.path.rglob(name)) for name in readable):
            raise ModelUnavailable(
                f"cannot be loaded: there are no safetensors weights in {self.path.name!r}. Other "
                "files (.bin, .pt) are not read because they can run code: save the model again "
                "as safetensors."
            )
        return self.path


@dataclass(frozen=True)
class ByHand:
    """A hub repository whose commit is not pinned: the operator downloads it and sets its folder.

    Attributes:
        key: Key of the model in the catalogue.
        repo: ``owner/name``.
    """

    key: str
    repo: str

    @property
    def version(self) -> str:
        """Nothing is known of its weights."""
        return "none"

    @property
    def remedy(self) -> str:
        """How the operator downloads it and sets its folder."""
        return (
            f"Run `hf download {self.repo} --local-dir FOLDER` and start the gallery with "
            f"GALLERY_LOCAL_MODELS={self.key}=FOLDER."
        )

    def is_here(self, settings: Settings) -> bool:
        """Always False: a folder that the operator sets is a ``Folder``."""
        return False

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Raise ``ModelUnavailable`` with what to do."""
        raise ModelUnavailable(f"is not here. {self.remedy}")


@dataclass(frozen=True)
class Package:
    """A file inside an installed package, converted once to an ordinary checkpoint folder.

    The package is never imported. The conversion runs in a separate process: building two models
    at once in one process is unsafe, its memory is freed at once, and it can be killed at any time.

    Attributes:
        module: Import name of the package, which is also the name of its distribution.
        resource: Path of the file within the package.
        convert: A module-level function that reads the file and writes the folder.
        needs: Packages that the conversion needs beyond ``requirements.txt``.
        suffix: Distinguishes the folder from another conversion of the same file.
    """

    module: str
    resource: str
    convert: Callable[[Path, Path], None]
    needs: tuple[str, ...] = ()
    suffix: str = ""

    @property
    def version(self) -> str:
        """Name and version of the package."""
        return f"{self.module.replace('_', '-')} {metadata.version(self.module)}"

    @property
    def remedy(self) -> str:
        """The converted copy can always be recreated."""
        return f"Delete the folder converted/{self._name} in GALLERY_CACHE_DIR and try again."

    @property
    def _name(self) -> str:
        return f"{Path(self.resource).stem}{self.suffix}-{metadata.version(self.module)}"

    def _find(self) -> Path | None:
        spec = find_spec(self.module)
        if not spec or not spec.submodule_search_locations:
            return None
        path = Path(spec.submodule_search_locations[0], self.resource)
        return path if path.is_file() else None

    def is_here(self, settings: Settings) -> bool:
        """Whether the package and what its conversion needs are installed."""
        return self._find() is not None and all(map(find_spec, self.needs))

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the converted copy; convert first if there is none of this version."""
        file = self._find()
        if not file or not self.is_here(settings):
            raise ModelUnavailable("needs packages that are not installed. Run: make models")
        folder = settings.cache_dir / "converted" / self._name
        if folder.is_dir():
            return folder
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with hold(folder.with_name(f"{folder.name}.lock"), report):
                if not folder.is_dir():  # else another process has just made it
                    self._convert(file, folder, report)
        except OSError as error:
            raise ModelUnavailable(
                "cannot be converted: the folder for converted models (GALLERY_CACHE_DIR) "
                f"cannot be written ({error.strerror}). Free some space, or name another."
            ) from error
        return folder

    def _convert(self, file: Path, folder: Path, report: Report) -> None:
        """Convert into a temporary folder and rename it, so that ``folder`` is always complete."""
        report(_STAGE, 0, 0)
        unfinished = folder.with_name(f"{folder.name}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)  # left by a killed process
        function = [self.convert.__module__, self.convert.__qualname__]
        paths = [str(path.resolve()) for path in (file, unfinished)]
        try:
            _run_in_process([*function, *paths], lambda: report(_STAGE, 0, 0))
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def hold(path: Path, report: Report) -> Iterator[None]:
    """Hold the lock file ``path``; calls ``report`` while another process has it."""
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_POLL_SECONDS)
        except Timeout:
            report("Waiting for another program", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _run_in_process(arguments: list[str], check: Callable[[], None]) -> None:
    """Run ``convert_here`` in a new process, which is killed if ``check`` raises."""
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log,
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "from shared.sources import convert_here; convert_here()",
                *arguments,
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=log,
        ) as process,
    ):
        try:
            while process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL_SECONDS)
                check()
        except BaseException:
            process.kill()
            raise
        log.seek(0)
        if process.returncode:
            _raise_failure(log.read())


def _raise_failure(log: str) -> NoReturn:
    if os.strerror(errno.ENOSPC) in log:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    logging.getLogger(__name__).error("A conversion failed:\n%s", log)
    raise ModelUnavailable(
        "cannot be converted; the gallery's log says why. "
        "Make sure that there is 1 GB of free memory, or choose another model."
    )


def convert_here() -> None:
    """Call the function named on the command line. Ends when the parent process ends."""

    def end_with_parent() -> None:
        os.read(0, 1)  # returns only when the pipe from the parent breaks
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    module, function, file, folder = sys.argv[1:]
    getattr(import_module(module), function)(Path(file), Path(folder))
