"""Download the books, poems and songs that the bundled text and music models were trained on.

    python -m training.get_data [--from FOLDER] [--accept-newer]

The training scripts read it from ``.cache/training/text/source`` and
``.cache/training/music/lieder``. ``training/data.json`` has URLs and checksums. Files that exist
already are kept; files that differ from the checksums are refused, unless ``--accept-newer`` is
given. ``--from`` reads copies in a folder instead of the network.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any

from shared.settings import ROOT

SEPARATOR = "<|endoftext|>"  # as in text_data.py, which imports heavy libraries
MANIFEST = Path(__file__).with_name("data.json")
USER_AGENT = "generative-gallery/0.1 (training.get_data)"
TRIES, TIMEOUT = 3, 60.0  # of a download; seconds without a byte
PAUSE = 1.0  # seconds between two requests: these are public libraries
LICENCE = re.compile(r"\*\*\* ?START OF[^\n]*\*\*\*\n(.*?)\n\*\*\* ?END OF", re.DOTALL)


class DataError(Exception):
    """Data that cannot be downloaded, or that differs from the models' training data."""


class Fetcher:
    """Reads files from a folder of copies, or without one from their URLs."""

    def __init__(self, copies: Path | None, pause: float = PAUSE) -> None:
        self.copies, self.pause = copies, pause

    def copy(self, name: str) -> bytes | None:
        """Return the copy with that name in the folder or below; None without a folder."""
        found = sorted(self.copies.rglob(name)) if self.copies else []
        return found[0].read_bytes() if found else None

    def read(self, name: str, address: str | None) -> bytes:
        """Return the copy with that name, or download it.

        Raises:
            DataError: There is neither.
        """
        data = self.copy(name)
        if data is not None:
            return data
        if self.copies:
            raise DataError(f"{name} is not in {self.copies}.")
        if not address:
            raise DataError(f"{name} has no public address: see docs/training-data.md.")
        for attempt in range(TRIES):
            time.sleep(self.pause * 2**attempt)
            try:
                request = urllib.request.Request(address, headers={"User-Agent": USER_AGENT})
                with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:
                    return answer.read()  # raises IncompleteRead if the connection breaks
            except (OSError, HTTPException) as error:
                reason = error
                if isinstance(error, urllib.error.HTTPError) and error.code in (403, 404, 410):
                    break
        raise DataError(f"{address} cannot be downloaded: {reason}.")


def digest(data: bytes | str) -> str:
    """Return the SHA-256 of bytes, or of a stripped text."""
    return hashlib.sha256(data.strip().encode() if isinstance(data, str) else data).hexdigest()


def digest_songs(archive: zipfile.ZipFile) -> str:
    """Return one SHA-256 of the names and contents of all songs, independent of the packing."""
    lines = sorted(f"{name} {digest(archive.read(path))}" for path, name in songs(archive))
    return digest("\n".join(lines))


def songs(archive: zipfile.ZipFile) -> Iterator[tuple[str, str]]:
    """Yield the path of each song in the archive, and its last four parts, composer first."""
    for path in archive.namelist():
        parts = path.split("/")[-4:]
        if path.endswith(".mxl") and len(parts) == 4 and ".." not in parts:
            yield path, "/".join(parts)


def cut_licence(data: bytes, title: str) -> str:
    """Return the text of a Project Gutenberg file without header and footer.

    Raises:
        DataError: It is not such a file, or another book.
    """
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n")
    book = LICENCE.search(text)
    named = re.search(r"^Title: (.*)$", text, re.MULTILINE)
    if not book or not named or letters(title) not in letters(named[1]):
        raise DataError(f"What came for {title!r} is another text.")
    return book[1].strip()


def letters(text: str) -> str:
    """Return the letters and digits of ``text`` in lower case, to compare titles."""
    return re.sub(r"[^a-z0-9]", "", text.lower())


def get_books(books: dict[str, Any], fetcher: Fetcher) -> tuple[bytes, list[str]]:
    """Return the file of all books, and the titles of those that differ from the training data."""
    file = fetcher.copy(books["file"])
    if file is not None:
        texts = file.decode().split(SEPARATOR)
        if len(texts) != len(books["books"]):
            raise DataError(f"{books['file']} holds {len(texts)} books, not {len(books['books'])}.")
    else:
        texts = []
        for book in books["books"]:
            name, address = f"pg{book['id']}.txt", books["address"].format(id=book["id"])
            print(f"{book['title']} ...", flush=True)
            texts.append(cut_licence(fetcher.read(name, address), book["title"]))
        file = SEPARATOR.join(f"\n\n{text}\n\n" for text in texts).encode()
    pairs = zip(books["books"], texts, strict=True)
    return file, [book["title"] for book, text in pairs if digest(text) != book["sha256"]]


def write(target: Path, data: bytes) -> None:
    """Write a file atomically."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    partial.write_bytes(data)
    partial.replace(target)


def unpack(target: Path, archive: zipfile.ZipFile) -> None:
    """Unpack the songs into a new folder, atomically."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    for path, name in songs(archive):
        write(partial / name, archive.read(path))
    shutil.rmtree(target, ignore_errors=True)
    partial.replace(target)


def get(manifest: dict[str, Any], part: str, to: Path, fetcher: Fetcher, newer: bool) -> str:
    """Fetch one part of the data and return a message about it.

    Raises:
        DataError: It cannot be downloaded, or differs and ``newer`` is false.
    """
    entry = manifest[part]
    target = to / entry["place"]
    if target.is_file() or any(target.rglob("*.mxl")):
        return f"{part}: kept what is in {target}"
    if part == "lieder":
        archive = zipfile.ZipFile(io.BytesIO(fetcher.read(entry["file"], entry["address"])))
        differing = [] if digest_songs(archive) == entry["sha256"] else ["the collection of songs"]
    elif part == "books":
        data, differing = get_books(entry, fetcher)
    else:
        data = fetcher.read(entry["file"], entry["address"])
        differing = [] if digest(data) == entry["sha256"] else ["the file of poems"]
    if differing and not newer:
        raise DataError(
            f"Not what the models learned from: {', '.join(differing)}. "
            "With --accept-newer they are kept; measured figures may then differ slightly."
        )
    if part == "lieder":
        unpack(target, archive)
    else:
        write(target, data)
    return f"{part}: {target}" + (f" (differs: {', '.join(differing)})" if differing else "")


def main() -> None:
    """Fetch every part; exit with 1 if one is missing."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--from", dest="copies", type=Path, metavar="FOLDER", help="local copies")
    parser.add_argument("--to", type=Path, default=ROOT / ".cache" / "training")
    parser.add_argument("--accept-newer", action="store_true", help="keep what differs")
    parser.add_argument("--manifest", type=Path, default=MANIFEST)
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between requests")
    arguments = parser.parse_args()
    if arguments.copies and not arguments.copies.is_dir():
        parser.error(f"there is no folder {arguments.copies}")
    manifest = json.loads(arguments.manifest.read_text("utf-8"))
    fetcher = Fetcher(arguments.copies, arguments.pause)
    failed = False
    for part in manifest:
        try:
            print(get(manifest, part, arguments.to, fetcher, arguments.accept_newer), flush=True)
        except (DataError, zipfile.BadZipFile) as error:
            print(f"{part}: {error}", file=sys.stderr)
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
