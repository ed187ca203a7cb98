"""What a visitor does in the tabs Walk and Reconstruct of the latent-space room."""

from __future__ import annotations

import re
from pathlib import Path

import av
import pytest
from PIL import Image
from playwright.sync_api import Page, Route, TimeoutError, expect

from shared.critters.attributes import VALUES, render_critter
from tests.browser.conftest import enter_latent, enter_tab

LONG = 120_000  # milliseconds; the first use of a room imports its libraries
SEARCH = "Let the GAN search"


def expect_no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.fixture
def critter(tmp_path: Path) -> Path:
    words = {name: values[1] for name, values in VALUES.items()}
    Image.fromarray(render_critter(words)).save(tmp_path / "critter.png")
    return tmp_path / "critter.png"


@pytest.mark.phone
def test_a_walk_becomes_a_film_to_keep(page: Page) -> None:
    enter_latent(page, "Walk")
    page.get_by_role("textbox", name="Seeds").fill("7, 12")
    page.get_by_label("Steps from one seed").first.fill("8")
    page.get_by_role("button", name="Walk", exact=True).click()
    film = page.locator(".walk-film video")
    film.wait_for(timeout=LONG)
    page.wait_for_function("document.querySelector('.walk-film video').currentTime > 0.2")
    assert film.evaluate("video => [video.videoWidth, video.videoHeight]") == [1024, 512]
    expect(page.locator(".exhibit .caption").filter(visible=True).first).to_contain_text(
        "from seed 7 to 12"
    )
    for kind, opener in (("GIF", Image.open), ("MP4", av.open)):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {kind}").click()
        assert download.value.suggested_filename == f"latent-walk.{kind.lower()}"
        opener(str(download.value.path())).close()
    expect_no_sideways_scrolling(page)


def test_seeds_that_are_none_are_explained(page: Page) -> None:
    enter_latent(page, "Walk")
    page.get_by_role("textbox", name="Seeds").fill("7, <b>cat</b>")
    page.get_by_role("button", name="Walk", exact=True).click()
    message = page.locator(".failed").get_by_text("“<b>cat</b>” is no seed")
    expect(message).to_be_visible(timeout=LONG)
    expect(page.get_by_role("button", name="Walk", exact=True)).to_be_visible()


@pytest.mark.phone
def test_an_upload_is_encoded_and_searched_for_until_it_is_stopped(
    page: Page, critter: Path
) -> None:
    room = enter_latent(page, "Reconstruct")
    page.get_by_role("tab", name="Upload").click()
    room.locator("input[type=file]").last.set_input_files(critter)
    figures = page.locator(".three figure")
    expect(figures.nth(1)).to_contain_text(re.compile(r"\d\d\.\d dB"), timeout=LONG)
    expect(figures.nth(2)).not_to_contain_text("dB")
    sizes = page.locator(".three img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert sizes == [64, 64]

    page.get_by_role("button", name=SEARCH).click()
    caption = page.get_by_text(re.compile("The GAN (guesses|searches)"))
    expect(caption).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("button", name=SEARCH)).to_be_visible(timeout=LONG)
    expect(caption).to_contain_text("stopped")
    expect(figures.nth(2)).to_contain_text(re.compile(r"\d\.\d dB"))
    assert page.locator(".three img").count() == 3, "the best so far stays"
    expect_no_sideways_scrolling(page)


def test_a_real_critter_is_chosen_with_the_keyboard(page: Page) -> None:
    enter_latent(page, "Reconstruct")
    critters = page.locator(".critters button")
    expect(critters).to_have_count(12, timeout=LONG)
    before = critters.first.get_attribute("title")
    page.get_by_role("button", name="Twelve others").click()
    expect(critters.first).not_to_have_attribute("title", before or "", timeout=LONG)
    critters.nth(4).focus()
    page.keyboard.press("Enter")
    expect(critters.nth(4)).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".three figure").nth(1)).to_contain_text("dB", timeout=LONG)
    page.get_by_role("button", name="Look inside").filter(visible=True).click()
    expect(page.locator(".whiskers title")).to_have_count(64)


@pytest.mark.parametrize(
    ("room", "tab", "script"),
    [("Latent", "Reconstruct", "latent/sketch.js"), ("Images", "Change", "image/pad.js")],
)
def test_a_pad_takes_no_clicks_that_it_would_lose(
    desktop: Page, room: str, tab: str, script: str
) -> None:
    """Its script comes over the network, after the pad is on the page."""
    held: list[Route] = []
    desktop.route(f"**/rooms/{script}", lambda route: held.append(route))
    with desktop.expect_request(f"**/rooms/{script}"):
        enter_tab(desktop, room, tab)
        if tab == "Reconstruct":
            desktop.get_by_role("tab", name="Draw").click()
    clear = desktop.locator(".sketch").filter(visible=True).get_by_text("Clear", exact=True)
    expect(clear).to_be_visible()
    with pytest.raises(TimeoutError):
        clear.click(trial=True, timeout=1000)
    held[0].continue_()
    clear.click(timeout=LONG)


@pytest.mark.phone
def test_a_drawing_is_redrawn_after_each_stroke(page: Page) -> None:
    enter_latent(page, "Reconstruct")
    page.get_by_role("tab", name="Draw").click()
    pad = page.locator(".sketch canvas")
    figure = page.locator(".three img").nth(1)
    page.get_by_role("button", name="navy").click()
    page.get_by_role("button", name="Fill all").click()
    # One colour is no drawing yet, and the pad says so.
    expect(page.get_by_text("one colour only")).to_be_visible(timeout=LONG)
    page.get_by_role("button", name="orange").click()
    page.get_by_role("button", name="thick").click()
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.9, steps=5)
    page.mouse.up()
    figure.wait_for(timeout=LONG)
    first = figure.get_attribute("src") or ""
    page.get_by_role("button", name="Undo").click()
    page.get_by_role("button", name="pink").click()
    pad.click(position={"x": box["width"] * 0.5, "y": box["height"] * 0.8})
    expect(figure).not_to_have_attribute("src", first, timeout=LONG)


def test_a_search_without_a_picture_and_a_file_that_is_none_are_explained(
    page: Page, tmp_path: Path
) -> None:
    room = enter_latent(page, "Reconstruct")
    page.get_by_role("button", name=SEARCH).click()
    expect(page.locator(".failed").get_by_text("Choose a picture first")).to_be_visible(
        timeout=LONG
    )
    (tmp_path / "note.png").write_text("I am not a picture.")
    page.get_by_role("tab", name="Upload").click()
    room.locator("input[type=file]").last.set_input_files(tmp_path / "note.png")
    expect(page.get_by_text("cannot be read as a picture")).to_be_visible(timeout=LONG)
