"""MusicGen on the real page, with a tiny checkpoint in the format of the library that is here."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
from playwright.sync_api import Locator, Page, expect

from shared.recipe_files import read_recipe
from tests.browser.conftest import LONG, OpenPage, enter_tab
from tests.conftest import run_app
from tests.musicgen_models import RATE, make_audiocraft_checkpoint, make_transformers_checkpoint

AUDIOCRAFT = find_spec("audiocraft") is not None
LIBRARY = "audiocraft" if AUDIOCRAFT else "transformers"
TOP = "element => element.getBoundingClientRect().top"
GAP = """input => input.parentElement.querySelector("svg").getBoundingClientRect().left
  - input.getBoundingClientRect().right + parseFloat(getComputedStyle(input).paddingRight)"""


@pytest.fixture(scope="module")
def musicgen_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("musicgen")
    if AUDIOCRAFT:
        make_audiocraft_checkpoint(folder)
    else:
        make_transformers_checkpoint(folder)
    log = tmp_path_factory.mktemp("app") / "stderr.txt"
    with run_app(log, GALLERY_LOCAL_MODELS=f"music/musicgen-small={folder}") as url:
        yield url
    assert "Traceback" not in log.read_text()


@pytest.fixture
def page(request: pytest.FixtureRequest, open_page: OpenPage, musicgen_url: str) -> Iterator[Page]:
    with open_page(musicgen_url, request.param) as page:
        yield page


@pytest.fixture
def desktop(open_page: OpenPage, musicgen_url: str) -> Iterator[Page]:
    with open_page(musicgen_url) as page:
        yield page


def enter(page: Page) -> Locator:
    tab = enter_tab(page, "Music", "MusicGen")
    expect(tab.get_by_role("button", name="Make music")).to_be_visible(timeout=LONG)
    return tab


def set_seconds(tab: Locator, seconds: int) -> None:
    field = tab.get_by_role("spinbutton", name="New music in seconds")
    field.fill(str(seconds))
    field.press("Enter")


def make(tab: Locator, seconds: int) -> None:
    set_seconds(tab, seconds)
    tab.get_by_role("button", name="Make music").click()
    finished = re.compile(rf"· {seconds} seconds")  # on the way it is "of" so many
    expect(tab.get_by_text(finished)).to_be_visible(timeout=LONG)


def download(page: Page, tab: Locator) -> Path:
    link = tab.get_by_role("button", name="Download sound")
    expect(link).to_be_enabled(timeout=LONG)
    with page.expect_download() as begun:
        link.click()
    return Path(begun.value.path())


def write_recording(path: Path, seconds: float, loudness: float = 0.5, rate: int = 8000) -> Path:
    wave = loudness * np.sin(np.arange(round(seconds * rate)) / 4)
    soundfile.write(path, wave, rate)
    return path


@pytest.mark.phone
def test_music_is_made_heard_and_taken_apart(page: Page) -> None:
    tab = enter(page)
    expect(tab.get_by_text(f"Runs with {LIBRARY}")).to_be_visible()
    expect(tab.get_by_text("CC-BY-NC-4.0: not for commercial use")).to_be_visible()
    make(tab, 3)
    expect(tab.get_by_role("img", name="150 of 150 frames")).to_be_visible()
    file = download(page, tab)
    samples, rate = soundfile.read(file)
    assert (len(samples), rate) == (3 * RATE, RATE)
    recipe = read_recipe(file)
    assert recipe
    assert recipe["settings"]["engine"].startswith(LIBRARY)
    tab.get_by_role("button", name="Look inside").click()
    expect(tab.get_by_text("The first tokens of your music")).to_be_visible()
    tab.get_by_role("button", name="Hear the codebooks").click()
    expect(tab.get_by_text("Codebooks 1–4")).to_be_visible(timeout=LONG)
    player = tab.get_by_label("Codebooks 1–2")
    length = player.evaluate(
        "player => new Promise(tell => { player.preload = 'metadata'; "
        "player.onloadedmetadata = () => tell(player.duration); player.load(); })"
    )
    assert length == pytest.approx(3, abs=0.1)
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, "nothing sticks out sideways"


def test_stop_keeps_what_there_is(desktop: Page) -> None:
    tab = enter(desktop)
    set_seconds(tab, 120)
    tab.get_by_role("button", name="Make music").click()
    expect(tab.get_by_text("of 120 seconds")).to_be_visible(timeout=LONG)
    expect(tab.get_by_text(re.compile(r"about \d+ (s|min) left"))).to_be_visible()
    tab.get_by_role("button", name="Stop").click()
    expect(tab.get_by_text("· stopped")).to_be_visible(timeout=LONG)
    samples, rate = soundfile.read(download(desktop, tab))
    assert 0 < len(samples) / rate < 120
    make(tab, 2)  # and the next one works


def test_a_recording_is_gone_on_from_and_bad_ones_are_told(desktop: Page, tmp_path: Path) -> None:
    tab = enter(desktop)
    tab.get_by_role("button", name="Start from a recording").click()
    upload = tab.locator("input[type=file]")
    upload.set_input_files(write_recording(tmp_path / "tune.wav", 30))
    said = tab.get_by_text("Your recording: 30.0 s, mono, 8 kHz. Only 20 seconds of it are used.")
    expect(said).to_be_visible(timeout=LONG)
    upload.set_input_files(write_recording(tmp_path / "silent.wav", 3, loudness=0))
    expect(tab.get_by_role("alert").get_by_text("silent")).to_be_visible(timeout=LONG)
    fake = tmp_path / "fake.wav"
    fake.write_text("I am not a sound.")
    upload.set_input_files(fake)
    expect(tab.get_by_role("alert").get_by_text("cannot be read")).to_be_visible(timeout=LONG)
    set_seconds(tab, 2)
    tab.get_by_role("button", name="Make music").click()
    expect(tab.get_by_text("of your recording")).to_be_visible(timeout=LONG)
    samples, rate = soundfile.read(download(desktop, tab))
    assert len(samples) / rate > 5, "the good one was kept, and comes first"
    tab.get_by_text("Follow its melody").click()
    tab.get_by_role("button", name="Make music").click()
    expect(tab.get_by_text("This model cannot follow a melody").first).to_be_visible(timeout=LONG)
    tab.get_by_role("button", name="Without it").click()
    make(tab, 1)


def test_on_a_phone_nothing_is_cut_and_the_words_come_first(
    open_page: OpenPage, app_url: str
) -> None:
    with open_page(app_url, "phone") as page:
        tab = enter(page)
        tab.get_by_role("button", name="Boss fight").click()
        words = tab.get_by_role("textbox", name="Describe the music")
        expect(words).to_have_value(re.compile("^chiptune boss fight, .* a stubborn bass line$"))
        assert not [text for text in tab.get_by_role("button").all_inner_texts() if "..." in text]
        make, empty = tab.get_by_role("button", name="Make music"), tab.locator(".unplayed")
        model = tab.get_by_role("combobox", name="Model")
        tops = [one.evaluate(TOP) for one in (words, make, empty, model)]
        assert tops == sorted(tops)
        gap = model.evaluate(GAP)
        assert gap >= 0, "a long name ends before the arrow"


def test_without_weights_the_tab_says_what_it_takes(open_page: OpenPage, app_url: str) -> None:
    with open_page(app_url) as page:
        tab = enter(page)
        expect(tab.get_by_text("This one has to be fetched first")).to_be_visible()
        expect(tab.get_by_text("The other tabs and rooms work without it.")).to_be_visible()
        words = tab.get_by_role("textbox", name="Describe the music")
        words.fill("a waltz for two bears")
        tab.get_by_role("button", name="Make music").click()
        expect(tab.get_by_text("needs a one-time download").first).to_be_visible(timeout=LONG)
        expect(words).to_have_value("a waltz for two bears")
        expect(tab.get_by_role("button", name="Make music")).to_be_visible()
