"""What a visitor does in the tabs Next token, Surprise and Inside of the text room."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from tests.browser.conftest import LONG, enter_tab


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def words(box: Locator) -> str:
    return box.input_value()


@pytest.mark.phone
def test_the_controls_redraw_at_once_and_a_text_is_written_by_hand(page: Page) -> None:
    room = enter_tab(page, "Text", "Next token")
    bars = room.locator(".lab-bars button")
    expect(bars).to_have_count(15, timeout=LONG)
    assert fits(page)
    box = room.get_by_label("The beginning")
    begun = words(box)

    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    figures, second = room.locator(".lab-figures"), bars.nth(1)
    room.get_by_role("slider", name="Top-k").fill("1")
    expect(figures).to_contain_text(re.compile(r"1 of [\d,]+"))
    expect(figures).to_contain_text(re.compile(r"→ 0\.00 bits"))
    expect(second).to_have_class(re.compile("cut"))
    expect(second).to_have_attribute("aria-label", re.compile("cut by top-k"))
    room.get_by_role("slider", name="Temperature").fill("0")
    expect(second).to_have_attribute("aria-label", re.compile("cut by temperature 0"))
    assert not asked, "the controls ask nobody"

    likeliest = bars.first.locator(".lab-token").inner_text()
    room.get_by_role("button", name="Draw one").click()
    expect(box).not_to_have_value(begun, timeout=LONG)
    assert words(box) == begun + likeliest.replace("␣", " ").replace("↵", "\n")
    drawn = words(box)
    other = bars.nth(3).locator(".lab-token").inner_text()
    bars.nth(3).click()
    expect(box).not_to_have_value(drawn, timeout=LONG)
    expect(room.locator(".lab-note")).to_contain_text(f"{other} was added")
    room.get_by_role("button", name="Take back").click()
    expect(box).to_have_value(drawn, timeout=LONG)

    box.fill("<i>He</i> looked")
    expect(room.locator(".lab-text")).to_contain_text("<i>He</i> looked", timeout=LONG)
    assert fits(page)


@pytest.mark.phone
def test_a_text_is_coloured_by_its_surprise(page: Page) -> None:
    room = enter_tab(page, "Text", "Surprise")
    tokens = room.locator(".strip span")
    expect(room.locator(".strip")).to_contain_text("woodcutter", timeout=LONG)
    box = room.get_by_label("A text of yours")
    box.fill(" ")
    run = room.get_by_role("button", name="How surprising is it?")
    run.click()
    expect(room.locator(".failed")).to_contain_text("text is empty", timeout=LONG)
    expect(room.locator(".strip")).to_contain_text("woodcutter")

    box.fill("The <b>king</b> ate a smartphone 🦊.")
    run.click()
    expect(room.locator(".strip")).to_contain_text("<b>king</b> ate", timeout=LONG)
    expect(room.locator(".failed")).to_have_count(0)
    expect(room.locator(".surprise-sum")).to_contain_text("bits per character")
    expect(room.locator(".surprise-pair")).to_contain_text("smartphone")
    tokens.first.click()
    detail = room.locator(".strip-detail")
    expect(detail).to_contain_text(re.compile(r"The \d+\.\d bits"))
    page.keyboard.press("ArrowRight")
    expect(detail).to_contain_text(re.compile(r"␣.* bits"))
    assert fits(page)


@pytest.mark.phone
def test_a_place_and_a_layer_are_chosen_without_the_server(page: Page) -> None:
    room = enter_tab(page, "Text", "Inside")
    pieces = room.locator(".inside-pieces span")
    expect(pieces.first).to_be_visible(timeout=LONG)
    assert fits(page)

    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request))
    pieces.nth(2).click()
    about = room.locator(".inside-about")
    expect(about).to_contain_text(re.compile(r"token 3 of \d+"))
    page.keyboard.press("ArrowRight")
    expect(about).to_contain_text(re.compile(r"token 4 of \d+"))
    expect(pieces.nth(3)).to_have_attribute("aria-checked", "true")
    first = room.locator(".inside-heads figure").first
    expect(first.locator(".later")).to_have_count(pieces.count() - 4)
    room.get_by_role("slider", name="Layer").fill("1")
    expect(room.locator(".inside-layer output")).to_have_text(re.compile(r"1 of \d+"))
    lens = room.locator(".inside-lens")
    expect(lens).to_contain_text("before layer 1")
    assert not asked, "choosing asks nobody"

    room.get_by_label("A text to read").fill("Grüße <u>🦊</u> مرحبا")
    room.get_by_role("button", name="Look inside").click()
    expect(room.locator(".inside-pieces")).to_contain_text("‹F0›", timeout=LONG)
    expect(room.locator(".inside-heads .strip").first).to_contain_text("<u>")
    assert fits(page)
