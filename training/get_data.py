"""Fetch what the models of text and music are trained on, check it, and put it where they look.

    python -m training.get_data
    python -m training.get_data --from FOLDER  # copies that are here already, no network

``data_sources.json`` lists the addresses and checksums: 34 books of Project Gutenberg in their
order, the poems, and the songs of the OpenScore Lieder Corpus as they were at one commit.

The checksums are of what the bundled models were trained on. For the songs that is exact. Project
Gutenberg corrects its books in place, so that a book may have changed since: then it is named and
nothing is written, and ``--accept-newer`` takes it as it is now. The poems are a collection that
has no public address: they come from a copy only. Without them the storyteller can be trained, but
its figures will be others.

FOLDER, or a folder in it, holds any of ``books_34.txt``, ``pg11.txt`` and so on (single books as
Project Gutenberg has them), ``poems_kids.txt`` and ``openscore-lieder.zip``.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.common import DATA_CACHE
from training.text_data import SEPARATOR

SOURCES = Path(__file__).with_name("data_sources.json")
USER_AGENT = "generative-gallery/0.1 (training.get_data; fetches each file once)"
PAUSE = 1.0  # seconds between requests
TRIES = 3
_BETWEEN = f"\n\n{SEPARATOR}\n\n"
_START = re.compile(r"^\*\*\* ?START OF (THE|THIS) PROJECT GUTENBERG.*$", re.MULTILINE)
_END = re.compile(r"^\*\*\* ?END OF (THE|THIS) PROJECT GUTENBERG.*$", re.MULTILINE)


class DataProblem(Exception):
    """Something cannot be had, or is not what the models were trained on."""


@dataclass(frozen=True)
class Finder:
    """Finds files: in a folder of copies, or by their address.

    Attributes:
        copies: Folder to look in, at any depth; with one, nothing is downloaded.
        downloads: Folder that keeps what was downloaded, so that it is fetched once.
        pause: Seconds before each request.
    """

    copies: Path | None
    downloads: Path
    pause: float = PAUSE

    def find_copy(self, name: str) -> Path | None:
        """Return the file called ``name`` in the folder of copies, if there is one."""
        return next(iter(sorted(self.copies.rglob(name))), None) if self.copies else None

    def get(self, name: str, address: str) -> Path:
        """Return the file called ``name``, downloaded if need be.

        Raises:
            DataProblem: It is not among the copies, or cannot be downloaded.
        """
        if self.copies:
            if copy := self.find_copy(name):
                return copy
            raise DataProblem(f"there is no {name} in {self.copies}")
        path = self.downloads / name
        if not path.exists():
            download(address, path, pause=self.pause)
        return path


def download(address: str, path: Path, *, pause: float = PAUSE) -> None:
    """Download ``address`` to ``path``, which appears only when it is whole.

    Raises:
        DataProblem: There is no such file, or each of ``TRIES`` attempts failed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    request = urllib.request.Request(address, headers={"User-Agent": USER_AGENT})
    failure = ""
    for _ in range(TRIES):
        time.sleep(pause)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                data = answer.read()
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise DataProblem(f"{address} is not there any more ({error.code})") from None
            failure = f"the server answered {error.code} {error.reason}"
        except http.client.IncompleteRead as error:
            whole = len(error.partial) + (error.expected or 0)
            failure = f"the download ended after {len(error.partial)} of {whole} bytes"
        except (
            OSError,
            http.client.HTTPException,
        ) as error:  # no network, no such server, a connection that broke
            failure = f"the download failed: {getattr(error, 'reason', error)}"
        else:
            partial = path.with_name(path.name + ".partial")
            partial.write_bytes(data)
            os.replace(partial, path)
            return
    raise DataProblem(f"{address}: {failure} ({TRIES} attempts)")


def cut_book(data: bytes) -> str:
    """Return the text of a book without Project Gutenberg's licence before and after it."""
    text = data.decode("utf-8-sig").replace("\r\n", "\n")
    if start := _START.search(text):
        text = text[start.end() :]
    if end := _END.search(text):
        text = text[: end.start()]
    return text.strip("\n")


def get_books(books: Mapping[str, Any], finder: Finder, out: Path, *, accept_newer: bool) -> None:
    """Write the books, one after the other, as one file.

    Raises:
        DataProblem: Names every book that cannot be had or has changed; nothing is written.
    """
    whole = finder.find_copy(books["file"])
    ready = whole.read_bytes().decode().split(_BETWEEN) if whole else []
    if whole and len(ready) != len(books["works"]):
        raise DataProblem(
            f"{whole} holds {len(ready)} books, not the {len(books['works'])} of the list"
        )
    texts, problems = [], []
    for number, work in enumerate(books["works"]):
        named = f"{work['title']} (Project Gutenberg {work['id']})"
        try:
            if ready:
                text = ready[number]
            else:
                address = books["address"].format(id=work["id"])
                text = cut_book(finder.get(f"pg{work['id']}.txt", address).read_bytes())
        except DataProblem as problem:
            problems.append(f"{named}: {problem}")
            continue
        except UnicodeDecodeError:
            problems.append(f"{named}: it is no text in UTF-8")
            continue
        if _checksum(text.encode()) != work["sha256"]:
            changed = f"{named}: wrong checksum, it is not the text that the model was trained on"
            if accept_newer:
                print(f"Taken all the same: {changed}")
            else:
                problems.append(changed + "; --accept-newer takes it all the same")
        texts.append(text)
    if problems:
        raise DataProblem("\n".join(problems))
    _write(out / books["file"], _BETWEEN.join(texts).encode())


def get_poems(poems: Mapping[str, Any], finder: Finder, out: Path, *, accept_newer: bool) -> None:
    """Copy the poems.

    Raises:
        DataProblem: There is no copy, or it has changed.
    """
    if not (copy := finder.find_copy(poems["file"])):
        raise DataProblem(
            f"{poems['file']} has no public address: name a folder with a copy by --from FOLDER"
        )
    data = copy.read_bytes()
    _compare(copy.name, _checksum(data), poems["sha256"], accept_newer=accept_newer)
    _write(out / poems["file"], data)


def get_lieder(lieder: Mapping[str, Any], finder: Finder, out: Path, *, accept_newer: bool) -> None:
    """Unpack the songs: composer, cycle, song.

    Raises:
        DataProblem: They cannot be had, or have changed.
    """
    archive = finder.get(lieder["file"], lieder["address"])
    try:
        with zipfile.ZipFile(archive) as opened:
            songs = {
                "/".join(name.split("/")[-4:]): opened.read(name)
                for name in opened.namelist()
                if name.endswith(".mxl") and ".." not in name.split("/")
            }
    except zipfile.BadZipFile:
        raise DataProblem(f"{archive} is no zip file: delete it and try again") from None
    # GitHub may pack the same files differently: what is in them counts.
    lines = [f"{name} {_checksum(data)}\n" for name, data in sorted(songs.items())]
    found = _checksum("".join(lines).encode())
    _compare(archive.name, found, lieder["sha256"], accept_newer=accept_newer)
    for name, data in songs.items():
        _write(out / name, data)


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _compare(name: str, found: str, expected: str, *, accept_newer: bool) -> None:
    if found != expected:
        changed = f"{name}: wrong checksum, it is not what the model was trained on"
        if not accept_newer:
            raise DataProblem(f"{changed}; --accept-newer takes it all the same")
        print(f"Taken all the same: {changed}")


def _write(path: Path, data: bytes) -> None:
    """Write ``data`` as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, path)


STEPS: dict[str, tuple[Callable[..., None], str]] = {
    "books": (get_books, "text/source"),
    "poems": (get_poems, "text/source"),
    "lieder": (get_lieder, "music/lieder"),
}


def main() -> None:
    """Get all three; end with 1 if something is missing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", metavar="what", help="books, poems, lieder; else all")
    parser.add_argument("--from", dest="copies", type=Path, metavar="FOLDER")
    parser.add_argument("--accept-newer", action="store_true", help="take what has changed since")
    parser.add_argument("--out", type=Path, default=DATA_CACHE, help="where training looks")
    parser.add_argument("--sources", type=Path, default=SOURCES, help="another list of addresses")
    parser.add_argument("--pause", type=float, default=PAUSE, help="seconds between requests")
    arguments = parser.parse_args()
    if unknown := set(arguments.what) - set(STEPS):
        parser.error(f"there is no {unknown.pop()!r}, only {', '.join(STEPS)}")
    if arguments.copies and not arguments.copies.is_dir():
        parser.error(f"there is no folder {arguments.copies}")
    sources = json.loads(arguments.sources.read_text("utf-8"))
    finder = Finder(arguments.copies, arguments.out / "downloads", arguments.pause)
    complete = True
    for name in arguments.what or STEPS:
        get, folder = STEPS[name]
        out = arguments.out / folder
        try:
            get(sources[name], finder, out, accept_newer=arguments.accept_newer)
            print(f"{name}: in {out}")
        except DataProblem as problem:
            complete = False
            print(f"{name} are missing:\n{problem}", file=sys.stderr)
    sys.exit(0 if complete else 1)


if __name__ == "__main__":
    main()
