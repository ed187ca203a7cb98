"""Fetching the training data: from a stand-in for the public addresses, and from a folder."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared.settings import ROOT
from training.get_data import MANIFEST, digest, digest_songs
from training.music_lieder import SOURCE as LIEDER
from training.text_data import SEPARATOR
from training.text_data import SOURCE as TEXTS

BOOKS = {"Red Tales": "A king had three sons.", "Blue Tales": "A queen had “one” daughter."}
POEMS = b"A Frog\n\nHe sat.\n"


def gutenberg(title: str, text: str) -> bytes:
    around = (
        f"Title: {title}\r\n\r\n*** START OF THE EBOOK {title} ***\r\n\r\n{{}}\r\n\r\n*** END OF"
    )
    return b"\xef\xbb\xbf" + around.format(text).encode() + b" THE EBOOK ***\r\nLicence\r\n"


def archive(root: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        for name in ("a", "b"):
            opened.writestr(f"{root}Composer/_/Song_{name}/{name}.mxl", name)
    return packed.getvalue()


class Library:
    """Answers with ``files``; the paths in ``broken`` are cut short so many times."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken: dict[str, int] = {}
        self.asked: list[tuple[str, str]] = []


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    served = Library()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append((self.path, self.headers["User-Agent"]))
            data = served.files.get(self.path)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            if served.broken.get(self.path, 0):
                served.broken[self.path] -= 1
                data = (data or b"")[:5]
            self.wfile.write(data or b"")

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    for number, (title, text) in enumerate(BOOKS.items()):
        served.files[f"/pg{number}.txt"] = gutenberg(title, text)
    served.files |= {"/poems": POEMS, "/songs": archive("Lieder-main/scores/")}
    books = [
        {"title": title, "id": number, "sha256": digest(text)}
        for number, (title, text) in enumerate(BOOKS.items())
    ]
    songs = digest_songs(zipfile.ZipFile(io.BytesIO(archive(""))))
    manifest = {
        "books": {
            "file": "books.txt",
            "place": "text/books.txt",
            "address": f"{address}/pg{{id}}.txt",
            "books": books,
        },
        "poems": {
            "file": "poems.txt",
            "place": "text/poems.txt",
            "address": f"{address}/poems",
            "sha256": digest(POEMS),
        },
        "lieder": {
            "file": "songs.zip",
            "place": "music/lieder",
            "address": f"{address}/songs",
            "sha256": songs,
        },
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    yield served
    server.shutdown()
    server.server_close()


def get_data(folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "training.get_data",
        "--pause",
        "0",
        "--to",
        folder / "data",
    ]
    command += ["--manifest", folder / "manifest.json", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )


def files(folder: Path) -> set[str]:
    found = (folder / "data").rglob("*")
    return {path.relative_to(folder / "data").as_posix() for path in found if path.is_file()}


ALL = {"text/books.txt", "text/poems.txt"} | {
    f"music/lieder/Composer/_/Song_{name}/{name}.mxl" for name in "ab"
}


def test_everything_is_downloaded_once_and_put_together(library: Library, tmp_path: Path) -> None:
    done = get_data(tmp_path)
    assert (done.returncode, files(tmp_path)) == (0, ALL), done.stderr
    books = (tmp_path / "data/text/books.txt").read_text("utf-8")
    assert [book.strip() for book in books.split(SEPARATOR)] == list(BOOKS.values())
    assert all("generative-gallery" in agent for _, agent in library.asked)
    asked = len(library.asked)
    assert "kept" in get_data(tmp_path).stdout
    assert len(library.asked) == asked, "what is there is not asked for again"


def test_an_interrupted_download_is_tried_again(library: Library, tmp_path: Path) -> None:
    library.broken = {"/pg0.txt": 1, "/songs": 2, "/poems": 100}
    done = get_data(tmp_path)
    assert (done.returncode, files(tmp_path)) == (1, ALL - {"text/poems.txt"})
    assert "poems: http" in done.stderr
    assert "cannot be downloaded" in done.stderr
    assert [path for path, _ in library.asked].count("/poems") == 3, "tries have an end"


def test_a_book_that_differs_is_named_and_kept_only_if_asked(
    library: Library, tmp_path: Path
) -> None:
    library.files["/pg1.txt"] = gutenberg("Blue Tales", "A queen had two daughters.")
    done = get_data(tmp_path)
    assert (done.returncode, files(tmp_path)) == (1, ALL - {"text/books.txt"})
    assert "learned from: Blue Tales. With --accept-newer" in done.stderr
    done = get_data(tmp_path, "--accept-newer")
    assert (done.returncode, files(tmp_path)) == (0, ALL)
    assert "differs: Blue Tales" in done.stdout


def test_a_missing_or_wrong_book_is_refused_in_any_case(library: Library, tmp_path: Path) -> None:
    library.files["/pg1.txt"] = gutenberg("Cookery", "Take two eggs.")
    assert "'Blue Tales' is another text" in get_data(tmp_path, "--accept-newer").stderr
    del library.files["/pg1.txt"]
    library.asked.clear()
    assert "/pg1.txt cannot be downloaded: HTTP Error 404" in get_data(tmp_path).stderr
    assert [path for path, _ in library.asked].count("/pg1.txt") == 1, "404 is not tried again"
    assert "text/books.txt" not in files(tmp_path)


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_of_copies_needs_no_network(library: Library, tmp_path: Path, whole: bool) -> None:
    copies = tmp_path / "copies" / "deep"
    copies.mkdir(parents=True)
    (copies / "poems.txt").write_bytes(POEMS)
    (copies / "songs.zip").write_bytes(archive(""))
    if whole:
        (copies / "books.txt").write_text(f"\n\n{SEPARATOR}\n".join(BOOKS.values()), "utf-8")
    else:
        for number in range(2):
            (copies / f"pg{number}.txt").write_bytes(library.files[f"/pg{number}.txt"])
    done = get_data(tmp_path, "--from", tmp_path / "copies")
    assert (done.returncode, files(tmp_path), library.asked) == (0, ALL, []), done.stderr


def test_training_looks_where_the_data_is_put() -> None:
    manifest = json.loads(MANIFEST.read_text("utf-8"))
    places = {part: ROOT / ".cache/training" / manifest[part]["place"] for part in manifest}
    assert places["lieder"] == LIEDER
    assert places["books"].parent == places["poems"].parent == TEXTS
    assert places["books"].match("book*.txt")
    assert places["poems"].match("poem*.txt")
