"""The music room: compose and hear it, stop, change, download, open a file of one's own."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
import soundfile
from playwright.sync_api import Locator, Page, TimeoutError, expect

from tests.browser.conftest import LONG, OpenPage, enter_tab
from tests.unit.test_music_midi import SCALE, join_midi, write_midi

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
# The column of pixels that has the text's colour from top to bottom.
FIND_PLAYHEAD = """canvas => {
  const ink = getComputedStyle(canvas).color.match(/\\d+/g).slice(0, 3).map(Number);
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  const alike = (x, y) =>
    ink.every((value, i) => Math.abs(data[4 * (y * width + x) + i] - value) < 60);
  let [best, most] = [0, 0];
  for (let x = 0; x < width; x += 1) {
    let count = 0;
    for (let y = 0; y < height; y += 1) count += data[4 * (y * width + x) + 3] > 150 && alike(x, y);
    if (count > most) [best, most] = [x, count];
  }
  return best;
}"""


@pytest.fixture
def room(page: Page) -> Locator:
    page.evaluate(LISTEN)
    return enter_tab(page, "Music", "Compose")


@pytest.fixture
def wide_room(desktop: Page) -> Locator:
    desktop.evaluate(LISTEN)
    return enter_tab(desktop, "Music", "Compose")


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


@pytest.mark.phone
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


@pytest.mark.phone
def test_one_moment_stands_at_one_place_in_all_pictures(room: Locator) -> None:
    pictures = [
        room.get_by_role("img", name=name) for name in ("Piano roll", "Waveform", "Spectrogram")
    ]
    expect(pictures[2]).to_be_visible(timeout=LONG)
    position = room.get_by_role("slider", name="Position in seconds")
    moments = []
    for picture in pictures:
        position.fill("9")  # of a long piece a phone shows what is around it
        box = picture.bounding_box()
        assert box
        picture.click(position={"x": 0.2 * box["width"], "y": box["height"] / 2})
        moments.append(float(position.input_value()))
    assert max(moments) - min(moments) < 0.1
    assert moments[0] != 9
    playheads = [picture.evaluate(FIND_PLAYHEAD) for picture in pictures]
    assert max(playheads) - min(playheads) <= 1, "and the playhead is a line through all of them"


def test_on_a_phone_the_words_and_their_button_come_before_what_they_make(
    open_page: OpenPage, app_url: str
) -> None:
    with open_page(app_url, "phone") as phone:
        room = enter_tab(phone, "Music", "Compose")
        shown = [
            room.get_by_label("Describe a tune"),
            room.get_by_role("button", name="Compose", exact=True),
            room.get_by_role("img", name="Piano roll"),
            room.get_by_role("combobox", name="Melody", exact=True),
        ]
        tops = [(one.bounding_box() or {"y": 0})["y"] for one in shown]
        assert tops == sorted(tops)
        assert phone.evaluate("document.documentElement.scrollWidth <= innerWidth")


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


def test_menus_that_one_only_passes_through_change_nothing(wide_room: Locator) -> None:
    describe(wide_room, "an air in C for oboe")
    caption = wide_room.locator(".controls .caption").first
    expect(caption).to_contain_text("oboe", timeout=LONG)
    keyboard = wide_room.page.keyboard
    wide_room.get_by_label("Start from").focus()
    for _ in range(9):
        keyboard.press("Tab")
    # An answer to the menus would come before that to what is asked after them.
    wide_room.get_by_label("number input for Tempo").fill("77")
    expect(caption).to_contain_text("Yours: tempo", timeout=LONG)
    expect(wide_room.get_by_label("Describe a tune")).to_have_value("an air in C for oboe")


def test_bars_that_decide_are_told_beside_the_seconds(wide_room: Locator) -> None:
    describe(wide_room, "a jig, sixteen bars")
    told = wide_room.get_by_text("Left aside: 16 bars are asked for")
    expect(told).to_be_visible(timeout=LONG)
    describe(wide_room, "a jig, thirty seconds")
    expect(told).to_be_hidden(timeout=LONG)
    expect(wide_room.get_by_label("number input for Length in seconds")).to_have_value("30")


def test_a_number_out_of_range_is_moved_into_it(wide_room: Locator) -> None:
    tempo = wide_room.get_by_label("number input for Tempo")
    caption = wide_room.locator(".controls .caption").first
    for typed, taken in (("9999", "300"), ("9", "40"), ("", "40")):
        tempo.fill("120")
        expect(caption).to_contain_text("Yours", timeout=LONG)
        wide_room.get_by_role("button", name="Let the words set everything").click()
        expect(caption).not_to_contain_text("Yours", timeout=LONG)
        with wide_room.page.expect_response(lambda answer: "gradio_api/run" in answer.url) as sent:
            tempo.fill(typed)
        assert sent.value.ok
        expect(caption).to_contain_text("Yours: tempo", timeout=LONG)
        tempo.blur()
        expect(tempo).to_have_value(taken)


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
    bass = [(2.0 * n, 2.0, 40) for n in range(6)]
    tracks = {
        "Flute": write_midi(tmp_path / "1.mid", notes, tempo=140),
        "<b>Bass": write_midi(tmp_path / "2.mid", bass, channel=1, tempo=140),
    }
    file = join_midi(tmp_path / "mine.mid", tracks)
    wide_room.locator("input[type=file]").first.set_input_files(file)
    caption = wide_room.locator(".exhibit .caption").last
    expect(caption).to_contain_text("found D major", timeout=LONG)
    expect(caption).to_contain_text("3 bars")
    expect(caption).to_contain_text("became the melody: 24 notes of “Flute”")
    expect(caption).to_contain_text("Left out: 6 notes of “<b>Bass”")
    expect(wide_room.get_by_label("Describe a tune")).to_have_value("")
    expect(wide_room.get_by_role("spinbutton", name="Tempo")).to_have_value("140")
    wide_room.get_by_role("button", name="Continue").click()
    expect(caption).to_contain_text("goes on", timeout=LONG)
    finish(wide_room)
    assert count_bars(wide_room) > 3
    expect(caption).not_to_contain_text("Left out")


def test_a_tune_that_was_kept_as_midi_is_opened_as_it_was(wide_room: Locator) -> None:
    words = "a slow air in G minor for harp and cello, 6 bars"
    compose(wide_room, words)
    caption = wide_room.locator(".exhibit .caption").last
    before = caption.inner_text().splitlines()
    with wide_room.page.expect_download() as download:
        wide_room.get_by_role("button", name="Download notes").click()
    file = download.value.path()
    compose(wide_room, "a jig for bagpipe alone, 3 bars")
    wide_room.locator("input[type=file]").first.set_input_files(
        {"name": "mine.mid", "mimeType": "audio/midi", "buffer": Path(file).read_bytes()}
    )
    expect(caption).to_contain_text("the same piece again", timeout=LONG)
    after = caption.inner_text().splitlines()
    assert after[0] == before[0]
    assert re.findall(r"\d+ \w+|seed \d+", after[1]) == re.findall(r"\d+ \w+|seed \d+", before[1])
    expect(wide_room.get_by_label("Describe a tune")).to_have_value(words)
    expect(wide_room.get_by_role("combobox", name="Melody", exact=True)).to_have_value("harp")
    expect(wide_room.locator(".controls .caption").first).not_to_contain_text("Yours")
    expect(wide_room.locator(".player-parts")).to_contain_text("chords: cello")


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


@pytest.mark.phone
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
