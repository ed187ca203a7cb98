"""What a visitor does in the tab Parts of the image room."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from shared.critters.attributes import VALUES, render_critter
from tests.browser.conftest import LONG, OpenPage, enter_tab


def enter_parts(page: Page) -> Locator:
    """Open the tab and wait until each part has run once."""
    room = enter_tab(page, "Images", "Parts")
    expect(room.locator(".part-tokens")).to_be_visible(timeout=LONG)
    expect(room.locator(".part-matrix")).to_be_visible(timeout=LONG)
    expect(room.locator(".part-pictures")).to_have_count(2, timeout=LONG)
    return room


def source(image: Locator) -> str:
    return image.get_attribute("src") or ""


@pytest.fixture
def critter(tmp_path: Path) -> Path:
    words = {name: values[1] for name, values in VALUES.items()}
    Image.fromarray(render_critter(words)).resize((200, 120)).save(tmp_path / "critter.png")
    return tmp_path / "critter.png"


@pytest.mark.phone
def test_each_part_has_run_when_the_tab_opens_and_words_run_again(page: Page) -> None:
    room = enter_parts(page)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    room.get_by_label("Text", exact=True).fill("a blue <b>wug</b>")
    room.get_by_role("button", name="Cut into tokens").click()
    expect(room.locator(".part-tokens")).to_contain_text("blue", timeout=LONG)
    expect(room.locator(".part-tokens .strange")).not_to_have_count(0)
    assert room.locator(".part-tokens b").count() == 0, "what was typed stays text"

    room.get_by_label("Compare with").fill("horns")
    room.get_by_role("button", name="Encode", exact=True).click()
    alike = room.locator(".part-alike b")
    expect(alike).to_have_text(["horns"], timeout=LONG)


def test_a_channel_is_chosen_with_the_keyboard_and_multiplied(desktop: Page) -> None:
    room = enter_parts(desktop)
    pictures = room.locator(".part-pictures").first
    expect(pictures).to_contain_text("Channel 1 switched off")
    tile = room.get_by_role("button", name="Channel 3")
    tile.focus()
    desktop.keyboard.press("Enter")
    expect(tile).to_have_attribute("aria-pressed", "true")
    expect(pictures).to_contain_text("Channel 3 switched off", timeout=LONG)
    room.get_by_role("slider", name=re.compile("Multiply")).press("ArrowRight")
    expect(pictures).to_contain_text("Channel 3 × 0.25", timeout=LONG)
    room.get_by_role("button", name="Another critter").first.click()
    given = pictures.locator("img").first
    before = source(given)
    expect(given).not_to_have_attribute("src", before, timeout=LONG)
    expect(tile).to_have_attribute("aria-pressed", "true")


def test_an_upload_is_encoded_and_a_file_that_is_none_is_explained(
    page: Page, critter: Path, tmp_path: Path
) -> None:
    room = enter_parts(page)
    pictures = room.locator(".part-pictures").first
    (tmp_path / "note.png").write_text("I am not a picture.")
    before = source(pictures.locator("img").first)
    room.locator("input[type=file]").first.set_input_files(tmp_path / "note.png")
    expect(room.locator(".failed")).to_contain_text("cannot be read as a picture", timeout=LONG)
    assert source(pictures.locator("img").first) == before, "what was there stays"
    room.get_by_role("button", name="Remove this file").or_(
        room.get_by_role("button", name="Clear")
    ).first.click()
    room.locator("input[type=file]").first.set_input_files(critter)
    expect(pictures.locator("img").first).not_to_have_attribute("src", before, timeout=LONG)
    expect(pictures).to_contain_text(re.compile(r"\d\d\.\d dB"))
    expect(room.locator(".failed")).to_have_count(0)


def test_the_denoiser_is_asked_again_with_other_words_and_more_noise(desktop: Page) -> None:
    room = enter_parts(desktop)
    pictures = room.locator(".part-pictures").last
    told = room.get_by_label("What the denoiser is told")
    expect(told).to_have_value(re.compile("yellow"), timeout=LONG)
    worded, plain = (
        pictures.get_by_alt_text("With your words"),
        pictures.get_by_alt_text("Without words"),
    )
    before = source(worded), source(plain)
    told.fill("a green monster")
    room.get_by_role("button", name="Ask the denoiser").click()
    expect(worded).not_to_have_attribute("src", before[0], timeout=LONG)
    assert source(plain) == before[1]
    room.get_by_role("slider", name="Noise").press("ArrowRight")
    expect(pictures).to_contain_text("81% noise", timeout=LONG)
    expect(plain).not_to_have_attribute("src", before[1])
    room.get_by_role("slider", name="Noise").press("Home")
    expect(pictures.get_by_alt_text("0% noise", exact=True)).to_be_visible(timeout=LONG)


def test_on_a_phone_each_part_shows_its_result_after_what_it_is_given(
    open_page: OpenPage, app_url: str
) -> None:
    with open_page(app_url, "phone") as phone:
        room = enter_parts(phone)
        given = room.get_by_label("Text", exact=True).bounding_box()
        made = room.locator(".part-tokens").bounding_box()
        assert given
        assert made
        assert given["y"] < made["y"]
