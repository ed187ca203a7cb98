"""Fetching the training data, from a server of this test that holds a few lines."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from training import get_data
from training.common import DATA_CACHE
from training.music_lieder import SOURCE as LIEDER
from training.text_data import SEPARATOR
from training.text_data import SOURCE as TEXTS

MOUSE, CAT = "THE MOUSE\n\nA mouse ran.", "THE CAT\n\nA cat — slept."
POEMS = f"A Bird\n\nIt sang.\n\n{SEPARATOR}\n\nA Bee"
SONG = "Abt,_Franz/_/A_Song/lc1.mxl"


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def as_gutenberg_has_it(text: str) -> bytes:
    framed = (
        "\ufeffThe Project Gutenberg eBook\n\n*** START OF THE PROJECT GUTENBERG EBOOK X ***\n\n\n"
        f"{text}\n\n\n*** END OF THE PROJECT GUTENBERG EBOOK X ***\n\nlicence\n"
    )
    return framed.replace("\n", "\r\n").encode()


def archive(*songs: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as opened:
        opened.writestr("Lieder-abc/README.md", "songs")
        for song in songs:
            opened.writestr(f"Lieder-abc/scores/{song}", f"music of {song}")
    return file.getvalue()


@dataclass
class Site:
    """What the server has, what it was asked, and paths whose answers break off."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    breaks: dict[str, int] = field(default_factory=dict)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked.append((self.path, self.headers["User-Agent"]))
            if self.path not in site.files:
                self.send_error(404)
                return
            data = site.files[self.path]
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if site.breaks.get(self.path, 0) > 0:
                site.breaks[self.path] -= 1
                data = data[:10]
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.address = f"http://127.0.0.1:{server.server_port}"
        site.files = {
            "/pg1.txt": as_gutenberg_has_it(MOUSE),
            "/pg2.txt": as_gutenberg_has_it(CAT),
            "/lieder.zip": archive(SONG),
        }
        yield site
        server.shutdown()


@pytest.fixture
def run(
    site: Site,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str]]:
    """Run the command with arguments; returns its exit status and what it printed."""
    sources = {
        "books": {
            "file": "books_34.txt",
            "address": f"{site.address}/pg{{id}}.txt",
            "works": [
                {"id": 1, "title": "The Mouse", "sha256": sha(MOUSE.encode())},
                {"id": 2, "title": "The Cat", "sha256": sha(CAT.encode())},
            ],
        },
        "poems": {"file": "poems_kids.txt", "sha256": sha(POEMS.encode())},
        "lieder": {
            "file": "openscore-lieder.zip",
            "address": f"{site.address}/lieder.zip",
            "sha256": sha(f"{SONG} {sha(f'music of {SONG}'.encode())}\n".encode()),
        },
    }
    (tmp_path / "sources.json").write_text(json.dumps(sources))
    options = ["--sources", tmp_path / "sources.json", "--out", tmp_path / "out", "--pause", "0"]

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["get_data", *map(str, [*arguments, *options])])
        with pytest.raises(SystemExit) as ended:
            get_data.main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), printed.out + printed.err

    return run


Run = Callable[..., tuple[int, str]]


def books(tmp_path: Path) -> Path:
    return tmp_path / "out" / "text" / "source" / "books_34.txt"


def test_books_and_songs_come_from_their_addresses(site: Site, run: Run, tmp_path: Path) -> None:
    status, said = run("books", "lieder")
    assert status == 0, said
    assert books(tmp_path).read_bytes().decode() == f"{MOUSE}\n\n{SEPARATOR}\n\n{CAT}"
    song = tmp_path / "out" / "music" / "lieder" / SONG
    assert song.read_text() == f"music of {SONG}"
    assert {agent for _, agent in site.asked} == {get_data.USER_AGENT}
    run("books", "lieder")
    assert len(site.asked) == 3, "what is here is not asked for again"


def test_copies_need_no_network(site: Site, run: Run, tmp_path: Path) -> None:
    copies = tmp_path / "copies" / "text"
    copies.mkdir(parents=True)
    (copies / "books_34.txt").write_bytes(f"{MOUSE}\n\n{SEPARATOR}\n\n{CAT}".encode())
    (copies / "poems_kids.txt").write_bytes(POEMS.encode())
    (copies / "openscore-lieder.zip").write_bytes(archive(SONG))
    status, said = run("--from", copies.parent)
    assert status == 0, said
    assert books(tmp_path).read_bytes() == (copies / "books_34.txt").read_bytes()
    assert books(tmp_path).with_name("poems_kids.txt").read_bytes() == POEMS.encode()
    (copies / "books_34.txt").unlink()
    (copies / "pg1.txt").write_bytes(as_gutenberg_has_it(MOUSE))
    status, said = run("books", "--from", copies)
    assert (status, "The Cat (Project Gutenberg 2): there is no pg2.txt" in said) == (1, True)
    assert not site.asked


def test_poems_have_no_address(run: Run) -> None:
    status, said = run("poems")
    assert (status, "poems_kids.txt has no public address" in said) == (1, True)


def test_a_book_that_is_gone_is_named(site: Site, run: Run, tmp_path: Path) -> None:
    del site.files["/pg2.txt"]
    status, said = run("books")
    assert status == 1
    assert "The Cat (Project Gutenberg 2)" in said
    assert "is not there any more (404)" in said
    assert not books(tmp_path).exists()


def test_a_book_that_changed_is_named_and_taken_only_on_request(
    site: Site, run: Run, tmp_path: Path
) -> None:
    site.files["/pg2.txt"] = as_gutenberg_has_it("THE CAT\n\nA cat woke.")
    status, said = run("books")
    assert (status, "The Cat (Project Gutenberg 2): wrong checksum" in said) == (1, True)
    assert "The Mouse" not in said
    assert not books(tmp_path).exists()
    status, said = run("books", "--accept-newer")
    assert (status, "Taken all the same: The Cat" in said) == (0, True)
    assert "A cat woke." in books(tmp_path).read_text("utf-8")


def test_songs_that_changed_are_taken_only_on_request(site: Site, run: Run, tmp_path: Path) -> None:
    site.files["/lieder.zip"] = archive(SONG, "Abt,_Franz/_/Another/lc2.mxl")
    status, said = run("lieder")
    assert (status, "wrong checksum" in said) == (1, True)
    assert not (tmp_path / "out" / "music" / "lieder").exists()
    assert run("lieder", "--accept-newer")[0] == 0


def test_an_interrupted_download_is_tried_again(site: Site, run: Run, tmp_path: Path) -> None:
    size = len(site.files["/pg1.txt"])
    site.breaks["/pg1.txt"] = 1
    assert run("books")[0] == 0
    (tmp_path / "out" / "downloads" / "pg1.txt").unlink()
    site.breaks["/pg1.txt"] = get_data.TRIES
    status, said = run("books")
    assert (status, f"ended after 10 of {size} bytes" in said) == (1, True)
    assert not list((tmp_path / "out" / "downloads").glob("pg1*")), "no half of a file stays"


def test_a_server_that_cannot_be_reached_is_named(tmp_path: Path) -> None:
    with pytest.raises(get_data.DataProblem, match=r"http://127\.0\.0\.1:9/x: the download failed"):
        get_data.download("http://127.0.0.1:9/x", tmp_path / "x", pause=0)


def test_the_list_names_each_book_once_and_fills_the_folders_that_training_reads() -> None:
    sources = json.loads(get_data.SOURCES.read_text("utf-8"))
    works = sources["books"]["works"]
    assert len({work["id"] for work in works}) == len({work["sha256"] for work in works}) == 34
    folders = {name: DATA_CACHE / folder for name, (_, folder) in get_data.STEPS.items()}
    assert folders == {"books": TEXTS, "poems": TEXTS, "lieder": LIEDER}
