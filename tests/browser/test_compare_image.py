"""What a visitor does in the tabs Compare and Between of the image room."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from shared.recipe_files import read_recipe
from tests.browser.conftest import LONG, enter_tab

BAD_VALUES = [
    ("abc", "“abc” is no number"),
    (", ".join(map(str, range(13))), "The values are 13, at most 12"),
    ("99", "The values must lie between 0 and 15, not 99"),
]


def start(room: Locator, name: str) -> None:
    room.get_by_role("button", name=name, exact=True).click()


def keep(page: Page, room: Locator, name: str) -> Path:
    """Download what a button hands out, once there is something."""
    button = room.get_by_role("button", name=re.compile(rf"{name} \("))
    expect(button).to_be_enabled(timeout=LONG)
    with page.expect_download() as download:
        button.click()
    return Path(download.value.path())


def expect_no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.phone
def test_a_sweep_fills_a_grid_to_keep(page: Page) -> None:
    room = enter_tab(page, "Images", "Compare")
    room.get_by_role("radio", name="Steps").click()
    room.get_by_label("Numbers of steps").first.fill("1, 2, 3")
    start(room, "Compare")
    for name in ("1 step", "2 steps", "3 steps"):
        picture = room.get_by_role("img", name=name, exact=True)
        expect(picture).to_be_visible(timeout=LONG)
        assert picture.evaluate("image => image.naturalWidth") >= 64
    expect(room.get_by_text("3 of 3 pictures · seed")).to_be_visible(timeout=LONG)
    sheet = keep(page, room, "Download the grid")
    recipe = read_recipe(sheet)
    assert recipe
    assert recipe["settings"]["values"] == [1, 2, 3]
    assert "num_inference_steps" not in recipe["settings"], "each picture has its own"
    with Image.open(sheet) as grid:
        assert grid.width > 3 * 192
    expect_no_sideways_scrolling(page)


@pytest.mark.phone
def test_a_race_is_a_table_with_a_finish(page: Page) -> None:
    room = enter_tab(page, "Images", "Compare")
    room.get_by_role("radio", name="Schedulers").click()
    room.get_by_label("Numbers of steps").filter(visible=True).fill("1, 4")
    start(room, "Compare")
    expect(room.get_by_text("6 of 6 pictures")).to_be_visible(timeout=LONG)
    expect(room.get_by_text("The model's own is DDIM here.")).to_be_visible()
    rows = [row.text_content() for row in room.get_by_role("rowheader").all()]
    assert rows == ["DDIM", "Euler", "DPM-Solver++"]
    expect(room.get_by_role("img", name="Euler, 4 steps", exact=True)).to_be_visible()
    expect(room.get_by_role("img", name=re.compile("Share of noise"))).to_be_visible()
    expect(room.get_by_text("The finish", exact=True)).to_be_visible()
    assert room.get_by_text(re.compile(r"[0-9.]+% off")).count() == 6
    expect_no_sideways_scrolling(page)


def test_stop_keeps_the_pictures_there_are(desktop: Page) -> None:
    room = enter_tab(desktop, "Images", "Compare")
    room.get_by_role("radio", name="Steps").click()
    room.get_by_label("Numbers of steps").first.fill("1, 50, 49, 48, 47, 46, 45, 44, 43, 42")
    start(room, "Compare")
    expect(room.get_by_text(re.compile("[12] of 10 pictures"))).to_be_visible(timeout=LONG)
    start(room, "Stop")
    expect(room.get_by_text(re.compile(r"of 10 pictures · seed \d+ · stopped"))).to_be_visible(
        timeout=LONG
    )
    expect(room.get_by_role("img", name="1 step", exact=True)).to_be_visible()
    expect(room.locator(".sweep .to-come").last).to_be_visible()


@pytest.mark.parametrize(("values", "message"), BAD_VALUES)
def test_bad_values_are_explained_and_can_be_mended(
    desktop: Page, values: str, message: str
) -> None:
    room = enter_tab(desktop, "Images", "Compare")
    field = room.get_by_label("Values of guidance").first
    field.fill(values)
    start(room, "Compare")
    expect(room.locator(".failed").get_by_text(message)).to_be_visible(timeout=LONG)
    expect(room.get_by_role("img", name="guidance 12")).to_be_visible()  # the example stays
    field.fill("4")
    start(room, "Compare")
    expect(room.get_by_text("1 of 1 pictures")).to_be_visible(timeout=LONG)


@pytest.mark.phone
def test_an_animation_from_words_to_words_to_keep(page: Page) -> None:
    room = enter_tab(page, "Images", "Between")
    room.get_by_label("Frames").first.fill("8")
    room.get_by_label("To", exact=True).fill("")
    start(room, "Animate")
    message = room.locator(".failed").get_by_text("The second prompt is empty")
    expect(message).to_be_visible(timeout=LONG)
    room.get_by_label("To", exact=True).fill("a green alien")
    start(room, "Animate")
    gif = keep(page, room, "Download GIF")
    mp4 = keep(page, room, "Download MP4")
    with Image.open(gif) as pictures:
        assert getattr(pictures, "n_frames", 1) > 1
    with av.open(str(mp4)) as container:
        assert "a green alien" in container.metadata["comment"]
    film = room.locator("video")
    expect(film).to_have_attribute("src", re.compile("^gradio_api/file="))
    film.scroll_into_view_if_needed()  # browsers pause what is out of sight
    page.wait_for_function("document.querySelector('.between video').currentTime > 0.2")
    expect(room.get_by_role("img", name="Frame 8 of 8")).to_be_visible()
    expect_no_sideways_scrolling(page)


def test_turning_noise_can_be_stopped_and_done_again(desktop: Page) -> None:
    room = enter_tab(desktop, "Images", "Between")
    room.get_by_role("radio", name="The noise").click()
    expect(room.get_by_label("How far to the other seeds").first).to_be_visible()
    room.get_by_label("Frames").first.fill("48")
    start(room, "Animate")
    expect(room.get_by_text(re.compile("[1-9][0-9]* of 48 frames"))).to_be_visible(timeout=LONG)
    start(room, "Stop")
    expect(room.get_by_text(re.compile(r"of 48 frames.* · stopped"))).to_be_visible(timeout=LONG)
    expect(room.get_by_role("img", name="Frame 1 of 48")).to_be_visible()
    room.get_by_label("Frames").first.fill("8")
    start(room, "Animate")
    expect(room.locator("video")).to_be_visible(timeout=LONG)
    expect(room.get_by_text(re.compile(r"seed \d+, seed \d+, seed \d+ and back"))).to_be_visible()
