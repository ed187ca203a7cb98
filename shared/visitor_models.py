"""Models that visitors trained here. Only their owner can use them, for one visit."""

from __future__ import annotations

import dataclasses
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

from shared.catalog import Catalog, ModelSpec
from shared.catalog.spec import VISITOR_PREFIX
from shared.errors import GalleryError, ModelUnavailable
from shared.loader import Report
from shared.model_cache import ModelCache
from shared.settings import Settings
from shared.sources import Folder

# Waits until this process has ended, also by a kill, then removes the folder.
_CLEAN_UP = "import shutil, sys; sys.stdin.read(); shutil.rmtree(sys.argv[1], ignore_errors=True)"
_lock = threading.Lock()
_home: tuple[Path, subprocess.Popen[bytes]] | None = None


@dataclass(frozen=True)
class Trained(Folder):
    """A checkpoint folder that a visitor's training wrote."""

    @property
    def version(self) -> str:
        """The weights have no version: they exist only here."""
        return "trained here"

    @property
    def remedy(self) -> str:
        """There is no other copy."""
        return "It is kept for one visit only. Train another one."

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder. Messages do not name it: its name is the secret of the model's key."""
        if not self.is_here(settings):
            raise ModelUnavailable(f"is missing. {self.remedy}")
        return self.path


class VisitorModels:
    """One visitor's models: the one that was trained last, and one that is kept.

    Args:
        cache: Loads kept models.
        catalog: Finds kept models by their unguessable keys, and does not list them.

    Raises:
        GalleryError: The gallery cannot write to a temporary folder.
    """

    def __init__(self, cache: ModelCache, catalog: Catalog) -> None:
        self._cache, self._catalog = cache, catalog
        try:
            self._folder = Path(tempfile.mkdtemp(dir=_open_home()))
        except OSError as error:
            raise GalleryError(
                "Training needs a place for its files, but this machine lets the gallery write to "
                "no temporary folder. Whoever runs it can set TMPDIR to one."
            ) from error
        self.kept: ModelSpec | None = None

    @property
    def fresh(self) -> Path:
        """The folder that a training writes its model to; it may not exist."""
        return self._folder / "fresh"

    def clear_fresh(self) -> None:
        """Remove the last trained model."""
        shutil.rmtree(self.fresh, ignore_errors=True)

    def keep(self, like: ModelSpec, title: str) -> ModelSpec:
        """Keep the last trained model, in place of the one kept before, and let it be used.

        Args:
            like: Catalogue entry of a model with the same architecture.
            title: Title on the page.

        Raises:
            GalleryError: No model was trained.
        """
        folder = self._folder / secrets.token_hex(8)
        try:
            self.fresh.replace(folder)
        except OSError as error:
            raise GalleryError("There is no model to keep. Train one first.") from error
        self.discard()
        self.kept = dataclasses.replace(
            like,
            key=f"{like.task}/{VISITOR_PREFIX}{folder.name}",
            title=title,
            summary="Trained by a visitor, for one visit.",
            sources=(Trained(folder),),
        )
        self._catalog.add_visitor_model(self.kept)
        return self.kept

    def discard(self) -> None:
        """Remove the kept model, if there is one, and its files."""
        if self.kept:
            self._catalog.remove_visitor_model(self.kept.key)
            self._cache.unload(self.kept.key)
            shutil.rmtree(self._folder / self.kept.key.rpartition("-")[2], ignore_errors=True)
            self.kept = None

    def close(self) -> None:
        """Remove everything when the visitor has left."""
        self.discard()
        shutil.rmtree(self._folder, ignore_errors=True)


def _open_home() -> Path:
    """Return the folder of all visitors' models; it is removed when this process ends."""
    global _home
    with _lock:
        if _home is None or not _home[0].is_dir():
            folder = Path(tempfile.mkdtemp(prefix="gallery-visitors-"))
            command = [sys.executable, "-I", "-S", "-c", _CLEAN_UP, str(folder)]
            # In a new session, so that Ctrl-C does not reach it.
            cleaner = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
            _home = (folder, cleaner)
        return _home[0]
