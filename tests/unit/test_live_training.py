"""Trainings that are watched: real processes with a few steps each, and every way they can end."""

from __future__ import annotations

import contextlib
import math
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from demos.latent.training import KINDS, TrainRequest, plan
from shared.errors import GalleryError, InvalidRequest
from shared.live import process
from shared.live.film import Curve, make_film, make_frame, show_curve
from shared.live.process import Line, Report, explain_end, follow_training
from shared.live.story import Story
from shared.settings import ROOT, Settings

TINY = ["--count", "60", "--held-out", "20", "--minutes", "5", "--samples-every", "0.01"]
STUB = ROOT / "tests" / "stubs" / "trainer"  # reports without any training
PATIENCE = 120.0  # seconds; the machine may be busy


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the trainings of a test put their folders."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def guests() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if "training.run_live" in child.cmdline()
    ]


@pytest.mark.timeout(300)  # a real training
@pytest.mark.parametrize(("network", "score"), [("vae", "psnr_db"), ("gan", "frechet")])
def test_a_training_reports_and_leaves_nothing(temporary: Path, network: str, score: str) -> None:
    compare = ROOT / "models" / f"latent-critters-{network}"
    options = [*TINY, "--max-steps", "2", "--compare", str(compare)]
    reports = [report for report in follow_training(f"train_{network}", options) if report]
    kinds = [report.kind for report in reports]
    assert list(dict.fromkeys(kinds)) == ["data", "reference", "sample", "score"]
    samples = [report for report in reports if report.kind == "sample"]
    assert [report.figures["step"] for report in samples] == [0, 1, 2]
    assert all(report.picture and report.picture[1:4] == b"PNG" for report in samples)
    assert samples[0].picture != samples[-1].picture
    scores = [report.figures["scores"][score] for report in reports if report.kind == "score"]
    assert math.isfinite(scores[-1])
    assert not guests()
    assert not list(temporary.iterdir())


def test_it_lets_others_go_first_and_ends_at_once(temporary: Path) -> None:
    with contextlib.closing(follow_training("train_vae", TINY)) as reports:  # type: ignore[type-var]
        next(report for report in reports if report)
        (guest,) = guests()
        if sys.platform != "win32":
            assert guest.nice() == min(19, psutil.Process().nice() + 10)
    assert not guests()
    assert not list(temporary.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_training_is_explained_and_the_next_works(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ROOT", STUB)
    reports = follow_training("train_vae", TINY)
    next(report for report in reports if report)
    guests()[0].send_signal(signal.SIGKILL)
    with pytest.raises(GalleryError, match="ended from outside"):
        list(reports)
    assert not list(temporary.iterdir())
    with contextlib.closing(follow_training("train_vae", TINY)) as again:  # type: ignore[type-var]
        assert next(report for report in again if report)


def test_a_training_that_says_nothing_for_long_is_ended(
    temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "ROOT", STUB)
    monkeypatch.setattr(process, "STALL_SECONDS", 0.5)
    with pytest.raises(GalleryError, match="has not answered"):
        list(follow_training("silent", [], seconds=0.1))
    assert not guests()
    assert not list(temporary.iterdir())


def test_an_error_in_the_script_is_explained(
    temporary: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GalleryError, match="the gallery's log describes"):
        list(follow_training("train_vae", [*TINY, "--device", "toaster"]))
    assert "toaster" in capfd.readouterr().err
    assert not list(temporary.iterdir())


HOST = """
import tempfile, sys
tempfile.tempdir = sys.argv[1]
from shared.live.process import follow_training
for report in follow_training("train_vae", sys.argv[2:]):
    if report:
        print("heard", flush=True)
"""


def test_a_training_ends_with_its_host_however_that_ends(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), *TINY], cwd=ROOT, stdout=subprocess.PIPE
    ) as host:
        assert host.stdout
        assert host.stdout.readline()
        family = psutil.Process(host.pid).children(recursive=True)
        assert family
        host.kill()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE)
    assert not alive
    assert not list(tmp_path.glob("*/guest"))


def test_without_a_temporary_folder_the_message_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(GalleryError, match="no temporary folder"):
        next(follow_training("train_vae", TINY))


def test_a_folder_with_something_in_it_is_refused(tmp_path: Path) -> None:
    precious = tmp_path / "model.safetensors"
    precious.write_text("precious")
    command = [sys.executable, "-m", "training.run_live", str(tmp_path), "train_vae"]
    done = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert "is not empty" in done.stderr
    assert precious.read_text() == "precious"


@pytest.mark.parametrize(
    ("returncode", "log", "words"),
    [
        (1, "OSError: [Errno 28] No space left on device", "disk of this machine is full"),
        (1, "ModuleNotFoundError: No module named 'dicebear'", "pip install -r requirements.txt"),
        (1, "torch.OutOfMemoryError: CUDA out of memory.", "memory ran out"),
        (-9, "", "ended from outside"),
        (1, "ValueError", "ended with an error"),
    ],
)
def test_every_end_has_its_words(returncode: int, log: str, words: str) -> None:
    assert words in explain_end(returncode, log)


def test_one_is_served_at_a_time_in_order() -> None:
    line, served = Line(3), list[str]()
    with contextlib.ExitStack() as first, line.join() as second:
        with contextlib.suppress(RuntimeError), line.join():
            raise RuntimeError  # a place is given up however its holder leaves
        assert second.ahead == 0
        third = first.enter_context(line.join())
        assert third.ahead == 1
        first.enter_context(line.join())
        with pytest.raises(GalleryError, match="waiting to train"), line.join():
            pass

        def wait() -> None:
            served.append(str(third.wait(PATIENCE)))

        waiting = threading.Thread(target=wait)
        waiting.start()
        line._places.remove(second)  # as its block's end does
        with line._moved:
            line._moved.notify_all()
        waiting.join()
        assert served == ["0"]
        line._places.append(second)
    assert len(line) == 0


def reports() -> Iterator[Report]:
    picture = b"\x89PNG"
    yield Report("data", {"done": 50, "total": 100, "count": 80}, None)
    yield Report("reference", {"scores": {"psnr_db": 33.0}}, picture)
    yield Report("sample", {"step": 0, "minutes": 0.0, "losses": {}}, picture)
    losses = {"mse": 0.1, "kl": 20.0}
    yield Report("sample", {"step": 900, "minutes": 5.0, "losses": losses}, picture)
    yield Report("score", {"step": 900, "minutes": 5.0, "scores": {"psnr_db": 20.5}}, None)


def test_a_story_compares_what_came_out_with_the_bundled_model() -> None:
    story = Story(KINDS["vae"], TrainRequest.parse(minutes=5), bundled_minutes=80.2)
    told = iter(reports())
    assert story.progress(0) == "Starting"
    story.add(next(told))
    assert story.progress(0) == "Drawing critters to learn from · 50%"
    for report in told:
        story.add(report)
    assert story.progress(0) == "Training · 5:00 · a last look"
    film = story.film("run")
    assert film
    assert len(film["frames"]) == 2
    assert story.film("run") is None  # nothing new
    ending = story.ending()
    for words in ("5:00 minutes", "900 steps", "20.5 dB", "after 80 minutes", "33 dB"):
        assert words in ending
    assert [curve.title for curve in story.curves()] == ["Redrawing error", "Kept in z", "Likeness"]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"minutes": 0}, "minutes must be at least 1"),
        ({"minutes": 21}, "minutes must be at most 20"),
        ({"minutes": math.nan}, "minutes must"),
        ({"seed": 2**31}, "seed must be at most"),
        ({"network": "transformer"}, "network must be"),
    ],
)
def test_what_cannot_be_trained_is_refused(values: dict[str, float], words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        TrainRequest.parse(**values)


def test_a_long_training_sends_no_more_pictures_than_a_browser_should_hold() -> None:
    words = plan(TrainRequest.parse(minutes=20), Settings())
    assert float(words[words.index("--samples-every") + 1]) == 10


def test_curves_survive_numbers_that_are_none() -> None:
    curve = Curve("Loss", "", [(0.5, 1.0), (1.0, math.nan)], reference=2.0, logarithmic=True)
    drawn = show_curve(curve, 5)
    assert "nan" not in drawn
    assert "no number" in drawn
    assert "not yet" in show_curve(Curve("Loss", "", []), 5)


def test_a_frame_holds_its_picture() -> None:
    film = make_film("run", [make_frame(b"png", "label", 1.5)], None, first=3)
    assert film["first"] == 3
    assert film["frames"][0]["time"] == "1:30"
    assert film["frames"][0]["source"].startswith("data:image/png;base64,")
