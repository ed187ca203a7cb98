"""Checkpoints from the Hugging Face hub: resumable downloads with verified checksums."""

from __future__ import annotations

import errno
import hashlib
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from shared.errors import ModelUnavailable
from shared.loader import Report
from shared.settings import Settings
from shared.sources import hold

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoFile

# Weights as safetensors; no pickles, no code. The one exception is audiocraft, which has no other
# format: its pickles are read with ``weights_only``.
LANGUAGE_MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors",
    "model.safetensors.index.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
MUSICGEN_FILES = (*LANGUAGE_MODEL_FILES, "spiece.model")
AUDIOCRAFT_FILES = ("state_dict.bin", "compression_state_dict.bin")
HALF_PIPELINE_FILES = (
    "model_index.json",
    "*/*.json",
    "*/merges.txt",
    "*/*.fp16.safetensors",
    "*/*.fp16-*.safetensors",
)


@dataclass(frozen=True)
class Hub:
    """A pinned commit of a repository on the Hugging Face hub, kept in the Hugging Face cache.

    A download that was interrupted (by a visitor, a lost connection or a kill) is resumed;
    huggingface_hub would start again. Each file must have the checksum that the hub lists for the
    commit (SHA-256 for weights, git's SHA-1 for small files); huggingface_hub compares only the
    size. Whether a model is here is decided by huggingface_hub.

    Attributes:
        repo: ``owner/name``.
        revision: Commit; a branch could change between two visitors.
        download_bytes: Approximate size of all files.
        allow_patterns: Files to download.
    """

    repo: str
    revision: str
    download_bytes: int
    allow_patterns: tuple[str, ...] = LANGUAGE_MODEL_FILES

    @property
    def version(self) -> str:
        """The commit."""
        return self.revision

    @property
    def remedy(self) -> str:
        """The command that removes the damaged copy."""
        return f"Remove it with `hf cache rm model/{self.repo}`, and it is downloaded again."

    def is_here(self, settings: Settings) -> bool:
        """Whether it is completely downloaded."""
        return self._find() is not None

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder of the snapshot; download it first if necessary."""
        if folder := self._find():
            return folder
        if settings.offline:
            raise self._unavailable("this gallery stays offline (GALLERY_OFFLINE)")
        if not _hub_answers():
            raise self._unavailable("the hub cannot be reached now")
        return self._download(report)

    def _find(self) -> Path | None:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(**self._snapshot_options(), local_files_only=True))
        except LocalEntryNotFoundError:  # nothing, or an incomplete snapshot
            return None
        # Another program may have left an incomplete snapshot; weights are downloaded last.
        weights = [name for name in self.allow_patterns if name.endswith((".safetensors", ".bin"))]
        return folder if any(any(folder.glob(name)) for name in weights) else None

    def _download(self, report: Report) -> Path:
        import httpx2  # the HTTP client of huggingface_hub
        from huggingface_hub import errors, snapshot_download
        from huggingface_hub.utils import disable_progress_bars

        try:
            cache = _hub_cache(self.repo)
            cache.mkdir(parents=True, exist_ok=True)
            with hold(cache / "gallery.lock", report):
                self._download_blobs(cache / "blobs", report)
                disable_progress_bars()
                return Path(
                    snapshot_download(**self._snapshot_options())
                )  # only creates links to the blobs
        except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError) as error:
            raise ModelUnavailable(
                f"cannot be downloaded: the hub does not show {self.repo} at this commit to "
                "everyone (a gated model needs HF_TOKEN). Choose another model."
            ) from error
        except errors.OfflineModeIsEnabled as error:
            raise self._unavailable("HF_HUB_OFFLINE forbids it") from error
        except (httpx2.HTTPError, errors.LocalEntryNotFoundError) as error:
            raise ModelUnavailable(
                "is not downloaded yet: the connection to the Hugging Face hub was lost. "
                "Try again: what has arrived is kept."
            ) from error
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise self._no_space() from error
            raise ModelUnavailable(
                "cannot be downloaded: the Hugging Face cache (HF_HOME) cannot be written "
                f"({error.strerror or error})."
            ) from error

    def _download_blobs(self, blobs: Path, report: Report) -> None:
        """Download every file to where huggingface_hub expects it: a blob named by its checksum."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile
        from huggingface_hub.utils import filter_repo_objects

        blobs.mkdir(exist_ok=True)
        tree = HfApi().list_repo_tree(self.repo, revision=self.revision, recursive=True)
        files = [
            (file, blobs / (file.lfs.sha256 if file.lfs else file.blob_id))
            for file in filter_repo_objects(
                (entry for entry in tree if isinstance(entry, RepoFile)),
                allow_patterns=list(self.allow_patterns),
                key=lambda file: file.path,
            )
        ]
        total = sum(file.size for file, _ in files)
        done = sum(_size(blob) or _size(_unfinished(blob)) for _, blob in files)
        if shutil.disk_usage(blobs).free < total - done:
            raise self._no_space()
        report("Downloading", done, total)
        for file, blob in files:
            if not blob.exists():
                for change in self._download_file(file, _unfinished(blob)):
                    done += change
                    report("Downloading", done, total)
                _unfinished(blob).replace(blob)

    def _download_file(self, file: RepoFile, unfinished: Path) -> Iterator[int]:
        """Download the rest of ``file`` and verify it; yield changes of its size in bytes."""
        import httpx2
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(self.repo, file.path, revision=self.revision)
        while (start := _size(unfinished)) < file.size:
            yield 0  # after a timeout, too: the caller reports, which may end the download
            try:
                yield from _append(url, unfinished)
            except httpx2.TransportError:
                if _size(unfinished) <= start:  # else there was progress: resume
                    raise
            else:
                break  # the hub sent all it has; the checksum is compared next
        if _checksum(unfinished, file) != (file.lfs.sha256 if file.lfs else file.blob_id):
            unfinished.unlink()
            raise ModelUnavailable(
                f"is not downloaded yet: {file.path} arrived damaged and was deleted. Try again."
            )

    def _snapshot_options(self) -> dict[str, Any]:
        patterns = list(self.allow_patterns)
        return {"repo_id": self.repo, "revision": self.revision, "allow_patterns": patterns}

    def _unavailable(self, why: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"needs a one-time download of about {_megabytes(self.download_bytes)} from the "
            f"Hugging Face hub, but {why}. Bundled models work without a network."
        )

    def _no_space(self) -> ModelUnavailable:
        return ModelUnavailable(
            f"does not fit on the disk: it is a download of about {_megabytes(self.download_bytes)}"
            " into the Hugging Face cache. Free some space, or set HF_HOME to a folder on "
            "another disk. What has arrived is kept."
        )


@dataclass(frozen=True)
class HubSet(Hub):
    """A repository whose checkpoint refers to other repositories, all in the Hugging Face cache.

    Attributes:
        parts: The other repositories; ``download_bytes`` includes them.
    """

    parts: tuple[Hub, ...] = ()

    def is_here(self, settings: Settings) -> bool:
        """Whether all of them are completely downloaded."""
        return all(one.is_here(settings) for one in self.parts) and super().is_here(settings)

    def fetch(self, settings: Settings, report: Report) -> Path:
        """Return the folder of the main repository, after fetching the others."""
        for part in self.parts:
            part.fetch(settings, report)
        return super().fetch(settings, report)


def find_in_cache(repo: str, revision: str | None = None) -> Path:
    """Return the folder of a repository that was downloaded before.

    Raises:
        ModelUnavailable: It was not.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo, revision=revision, local_files_only=True))
    except LocalEntryNotFoundError as error:
        raise ModelUnavailable(
            f"refers to {repo}, which is not on this disk. Download it with: hf download {repo}"
            + (f" --revision {revision}" if revision else "")
        ) from error


def _append(url: str, unfinished: Path) -> Iterator[int]:
    """Append the rest of ``url`` to ``unfinished``; yield changes of its size in bytes."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

    start = _size(unfinished)
    headers = build_hf_headers() | {"Range": f"bytes={start}-", "Accept-Encoding": "identity"}
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout) as response:
        hf_raise_for_status(response)
        resumed = response.status_code == HTTPStatus.PARTIAL_CONTENT
        if not resumed and start:
            yield -start
        with unfinished.open("ab" if resumed else "wb", buffering=0) as file:
            for chunk in response.iter_raw():
                file.write(chunk)
                yield len(chunk)


def _checksum(path: Path, file: RepoFile) -> str:
    """Compute the checksum that the hub lists: SHA-256 for LFS files, else git's SHA-1."""
    with path.open("rb") as content:
        if file.lfs:
            return hashlib.file_digest(content, "sha256").hexdigest()
        return hashlib.sha1(b"blob %d\0" % file.size + content.read()).hexdigest()


def _hub_cache(repo: str) -> Path:
    """The folder of ``repo`` in the Hugging Face cache."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"


def _hub_answers() -> bool:
    """Whether the hub can be reached. huggingface_hub itself would retry for half a minute."""
    from huggingface_hub import constants

    if getproxies():  # a direct connection says nothing about what the proxy reaches
        return True
    hub = urlsplit(constants.ENDPOINT)
    try:
        with socket.create_connection((hub.hostname, hub.port or 443), timeout=3):
            return True
    except OSError:
        return False


def _unfinished(blob: Path) -> Path:
    return blob.with_name(f"{blob.name}.incomplete")  # huggingface_hub cleans up files of this name


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
