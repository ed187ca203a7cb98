"""The music room: compose and hear it, stop, change, download, open a file of one's own."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.conftest import LONG, enter_wing
from tests.unit.test_music_midi import SCALE, write_midi

# Listens in at the loudspeaker: every sound of the page goes through an analyser.
LISTEN = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...rest) {
  if (to instanceof AudioDestinationNode) {
    window.heard ??= new AnalyserNode(to.context, { fftSize: 4096 });
    connect.call(this, window.heard);
  }
  return connect.call(this, to, ...rest);
};
window.loudest = () => {
  if (!window.heard) return 0;
  const samples = new Float32Array(window.heard.fftSize);
  window.heard.getFloatTimeDomainData(samples);
  return Math.max(...samples.map(Math.abs));
};
"""


@pytest.fixture
def room(page: Page) -> Locator:
    page.evaluate(LISTEN)
    return enter_wing(page, "Music", "Compose")


@pytest.fixture
def wide_room(desktop: Page) -> Locator:
    desktop.evaluate(LISTEN)
    return enter_wing(desktop, "Music", "Compose")


def describe(room: Locator, words: str) -> None:
    room.get_by_label("Describe a tune").fill(words)


def compose(room: Locator, words: str) -> None:
    describe(room, words)
    room.get_by_role("button", name="Compose", exact=True).click()
    finish(room)


def finish(room: Locator) -> None:
    """Wait until it is composed, rendered and saved."""
    button = room.get_by_role("button", name="Compose", exact=True)
    with suppress(AssertionError):  # it may be over already
        expect(button).to_be_hidden(timeout=3_000)
    expect(button).to_be_visible(timeout=LONG)
    expect(room.get_by_role("button", name="Download notes")).to_be_enabled(timeout=LONG)


def wait_for_sound(room: Locator) -> None:
    room.page.wait_for_function("window.loudest() > 0.01", timeout=LONG)


def count_bars(room: Locator) -> int:
    found = re.search(r"(\d+) bars", room.locator(".exhibit .caption").last.inner_text())
    assert found
    return int(found[1])


def test_the_finished_example_plays_pauses_and_can_be_moved_in(room: Locator) -> None:
    room.get_by_role("button", name="Play", exact=True).click(timeout=LONG)
    wait_for_sound(room)
    position = room.get_by_role("slider", name="Position in seconds")
    room.page.wait_for_function(
        "Number(document.querySelector('.player-seek').value) > 0.3", timeout=LONG
    )
    room.get_by_role("button", name="Pause").click()
    position.fill("10")
    expect(room.locator(".player-time")).to_contain_text("0:10")
    expect(room.get_by_role("img", name="Piano roll")).to_be_visible()
    expect(room.get_by_role("img", name="Spectrogram")).to_be_visible()


def test_what_is_composed_is_heard_and_handed_out(room: Locator) -> None:
    describe(room, "a slow sad tune in A minor for flute and piano, 12 seconds")
    expect(room.get_by_role("combobox", name="Accompaniment", exact=True)).to_have_value(
        "piano", timeout=LONG
    )
    room.get_by_role("button", name="Compose", exact=True).click()
    wait_for_sound(room)
    finish(room)
    expect(room.locator(".exhibit .caption").last).to_contain_text("flute and piano")
    with room.page.expect_download() as download:
        room.get_by_role("button", name="Download sound").click()
    info = soundfile.info(download.value.path())
    assert (info.samplerate, info.subtype) == (44_100, "PCM_16")
    assert info.duration > 11
    assert re.match(r"tune-a-minor-flute-and-piano-\d+\.wav", download.value.suggested_filename)
    with room.page.expect_download() as download:
        room.get_by_role("button", name="Download notes").click()
    assert Path(download.value.path()).read_bytes().startswith(b"MThd")


def test_words_set_the_controls_until_one_is_set_by_hand(wide_room: Locator) -> None:
    describe(wide_room, "a fast reel for harp with dragons")
    expect(wide_room.get_by_role("combobox", name="Style", exact=True)).to_have_value(
        "Reel", timeout=LONG
    )
    expect(wide_room.get_by_role("combobox", name="Melody", exact=True)).to_have_value(
        "harp", timeout=LONG
    )
    expect(wide_room.locator(".controls .caption").first).to_contain_text("dragons", timeout=LONG)
    wide_room.get_by_role("combobox", name="Style", exact=True).click()
    wide_room.get_by_role("option", name="March").click()
    describe(wide_room, "a slow jig for oboe")
    expect(wide_room.get_by_role("combobox", name="Melody", exact=True)).to_have_value(
        "oboe", timeout=LONG
    )
    expect(wide_room.get_by_role("combobox", name="Style", exact=True)).to_have_value(
        "March", timeout=LONG
    )
    expect(wide_room.locator(".controls .caption").first).to_contain_text(
        "Yours: style", timeout=LONG
    )
    wide_room.get_by_role("button", name="Let the words set everything").click()
    expect(wide_room.get_by_role("combobox", name="Style", exact=True)).to_have_value(
        "Jig", timeout=LONG
    )


def test_a_preset_fills_everything_in_and_its_loop_repeats(wide_room: Locator) -> None:
    wide_room.get_by_label("Start from").click()
    wide_room.get_by_role("option", name="Game level loop").click()
    expect(wide_room.get_by_role("combobox", name="Melody", exact=True)).to_have_value(
        "chip", timeout=LONG
    )
    wide_room.get_by_role("button", name="Compose", exact=True).click()
    wait_for_sound(wide_room)
    finish(wide_room)
    expect(wide_room.get_by_label("Repeat")).to_be_checked()


def test_stop_keeps_what_there_is(room: Locator) -> None:
    describe(room, "a chorale, 2 minutes")
    room.get_by_role("button", name="Compose", exact=True).click()
    wait_for_sound(room)
    with suppress(TimeoutError):  # it may have been faster
        room.get_by_role("button", name="Stop").click(timeout=5_000)
    finish(room)
    assert 1 <= count_bars(room) <= 60
    with room.page.expect_download() as download:
        room.get_by_role("button", name="Download sound").click()
    assert soundfile.info(download.value.path()).duration > 1


def test_a_tune_goes_on_is_varied_and_is_played_otherwise(wide_room: Locator) -> None:
    compose(wide_room, "a jig in D major for fiddle alone, 8 bars")
    before = count_bars(wide_room)
    wide_room.get_by_role("button", name="Continue").click()
    expect(wide_room.locator(".exhibit .caption").last).to_contain_text("goes on", timeout=LONG)
    finish(wide_room)
    assert count_bars(wide_room) > before
    wide_room.get_by_role("button", name="Vary it").click()
    wide_room.get_by_role("button", name="Another version of these").click()
    caption = wide_room.locator(".exhibit .caption").last
    expect(caption).to_contain_text("another version of bars 5 to 6", timeout=LONG)
    finish(wide_room)
    bars = count_bars(wide_room)
    describe(wide_room, "in F for harp and cello")
    expect(wide_room.get_by_role("combobox", name="Melody", exact=True)).to_have_value(
        "harp", timeout=LONG
    )
    wide_room.get_by_role("button", name="Play it with these settings").click()
    expect(caption).to_contain_text("played otherwise", timeout=LONG)
    expect(caption).to_contain_text("Jig, F")
    expect(wide_room.locator(".player-parts")).to_contain_text("chords: cello")
    assert count_bars(wide_room) == bars


def test_a_midi_file_is_opened_and_goes_on(wide_room: Locator, tmp_path: Path) -> None:
    notes = [(n / 2, 0.5, pitch) for n, pitch in enumerate(SCALE * 3)]
    file = write_midi(tmp_path / "mine.mid", notes, tempo=140)
    wide_room.locator("input[type=file]").first.set_input_files(file)
    caption = wide_room.locator(".exhibit .caption").last
    expect(caption).to_contain_text("found D major", timeout=LONG)
    expect(caption).to_contain_text("3 bars")
    wide_room.get_by_role("button", name="Continue").click()
    expect(caption).to_contain_text("goes on", timeout=LONG)
    finish(wide_room)
    assert count_bars(wide_room) > 3


def test_a_file_that_is_none_is_explained_and_nothing_is_lost(
    wide_room: Locator, tmp_path: Path
) -> None:
    file = tmp_path / "song.mid"
    file.write_bytes(b"MThd nonsense")
    caption = wide_room.locator(".exhibit .caption").last
    before = caption.inner_text()
    wide_room.locator("input[type=file]").first.set_input_files(file)
    expect(wide_room.page.get_by_text("damaged")).to_be_visible(timeout=LONG)
    assert caption.inner_text() == before
    wide_room.get_by_role("button", name="Play", exact=True).click()
    wait_for_sound(wide_room)


def test_sheet_music_fits_its_place_follows_the_player_and_is_that_of_the_next_tune(
    room: Locator,
) -> None:
    page, sheet = room.page, room.locator(".sheet-pages")
    room.get_by_role("button", name=re.compile("^Sheet music")).click()
    expect(sheet).to_contain_text("Jig in D major", timeout=LONG)
    assert sheet.locator(".staff").count() > 20
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert sheet.evaluate("place => place.scrollWidth <= place.clientWidth")
    ink = "getComputedStyle(document.querySelector('.sheet-pages .note .stem path')).stroke"
    dark_on_light = page.evaluate(ink)
    page.evaluate("document.body.classList.toggle('dark')")
    assert lightness(page.evaluate(ink)) > 200 > 100 > lightness(dark_on_light)
    room.get_by_role("slider", name="Position in seconds").fill("10")
    expect(sheet.locator(".note.sounds")).not_to_have_count(0, timeout=LONG)
    compose(room, "a chorale in F major, 4 bars")
    expect(sheet).to_contain_text("Chorale in F major", timeout=LONG)
    with page.expect_download() as download:
        room.get_by_role("button", name="Download sheet music").click()
    assert re.match(r"chorale-f-major-organ-\d+\.musicxml", download.value.suggested_filename)
    assert "<score-partwise" in Path(download.value.path()).read_text(encoding="utf-8")


def lightness(color: str) -> float:
    """Mean of red, green and blue, 0 to 255, of what CSS calls ``rgb(1, 2, 3)``."""
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 3
