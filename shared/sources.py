"""Where checkpoints come from: this repository, an installed package, a folder. See also hub.py.

Every source answers the same two questions: is the model here, and where are its files. The
messages of ``ModelUnavailable`` begin with a verb; the catalogue puts the model's title in front.
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
_RECHECK = 0.25  # seconds between looks at whether somebody still waits


class Source(Protocol):
    """A place that a checkpoint can come from."""

    @property
    def version(self) -> str:
        """Which weights these are, for recipes."""

    @property
    def remedy(self) -> str:
        """What to do when its files turn out damaged."""

    def is_here(self, settings: Settings) -> bool:
        """Whether it can be loaded without a download. Cheap; asks nobody."""

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder to load, bringing it to this disk first if need be.

        Raises:
            ModelUnavailable: It cannot be had; the message says why.
            Exception: Whatever ``report`` raises ends a download or a conversion.
        """


@dataclass(frozen=True)
class Bundled:
    """A folder of ours, in ``models``.

    Attributes:
        name: Of the folder.
    """

    name: str

    @property
    def version(self) -> str:
        """All weights of ours come with the gallery's own version."""
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
        """Only the operator knows where it came from."""
        return f"Check the folder {self.path.name!r} that GALLERY_LOCAL_MODELS names."

    def is_here(self, settings: Settings) -> bool:
        """Whether the folder is there."""
        return self.path.is_dir()

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder. One without safetensors or GGUF is refused: a pickle can run code.

        Only audiocraft's checkpoints are pickles by nature; its loader reads nothing but tensors.
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
    """A repository of the hub whose commit is not pinned here: the operator fetches and names it.

    Attributes:
        key: Of the model in the catalogue.
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
        """The two commands that make it one of the operator's folders."""
        return (
            f"Run `hf download {self.repo} --local-dir FOLDER` and start the gallery with "
            f"GALLERY_LOCAL_MODELS={self.key}=FOLDER."
        )

    def is_here(self, settings: Settings) -> bool:
        """It never is: a folder that the operator names is a ``Folder``."""
        return False

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Say what to do."""
        raise ModelUnavailable(f"is not here. {self.remedy}")


@dataclass(frozen=True)
class Package:
    """A file inside an installed package, converted once to an ordinary checkpoint folder.

    The package is never imported. The conversion runs in a process of its own, because building
    a model beside another one is unsafe, because its memory goes back to the system at once,
    and because a process can be ended at any time.

    Attributes:
        module: Import name of the package, which is also the name of its distribution.
        resource: Path of the file within the package.
        convert: A module's function that reads the file and writes the folder.
        needs: Packages that it takes beyond ``requirements.txt``.
        suffix: Sets its copy apart from another conversion of the same file.
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
        """The converted copy can always be made again."""
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
        """Whether the package, and what converting it takes, is installed."""
        return self._find() is not None and all(map(find_spec, self.needs))

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the converted copy, made now if there is none of this version."""
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
        """Convert beside ``folder``, then move it there: what lies there is always whole."""
        report(_STAGE, 0, 0)
        unfinished = folder.with_name(f"{folder.name}.tmp")
        shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
        function = [self.convert.__module__, self.convert.__qualname__]
        paths = [str(path.resolve()) for path in (file, unfinished)]
        try:
            _run_apart([*function, *paths], lambda: report(_STAGE, 0, 0))
            unfinished.replace(folder)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


@contextlib.contextmanager
def hold(path: Path, report: Report) -> Iterator[None]:
    """Hold the lock ``path`` against other processes; while one has it, ask who still waits."""
    lock = FileLock(path)
    while not lock.is_locked:
        try:
            lock.acquire(timeout=_RECHECK)
        except Timeout:
            report("Waiting for another program", 0, 0)
    try:
        yield
    finally:
        lock.release()


def _run_apart(arguments: list[str], check: Callable[[], None]) -> None:
    """Run ``convert_here`` in a new process, which is killed as soon as ``check`` raises."""
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
                    process.wait(_RECHECK)
                check()
        except BaseException:
            process.kill()
            raise
        log.seek(0)
        if process.returncode:
            _blame(log.read())


def _blame(log: str) -> NoReturn:
    if os.strerror(errno.ENOSPC) in log:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    logging.getLogger(__name__).error("A conversion failed:\n%s", log)
    raise ModelUnavailable(
        "cannot be converted; the reason stands in the gallery's log. "
        "Make sure that there is 1 GB of free memory, or choose another model."
    )


def convert_here() -> None:
    """Call the function that the command line names. Ends when the parent process ends."""

    def end_with_parent() -> None:
        os.read(0, 1)  # returns only when the pipe from the parent breaks
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    module, function, file, folder = sys.argv[1:]
    getattr(import_module(module), function)(Path(file), Path(folder))
