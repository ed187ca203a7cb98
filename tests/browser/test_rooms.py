"""What a visitor does: open each room, make something, stop, and nothing leaves the machine."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

LONG = 60_000  # milliseconds; the first use of a room imports its libraries


def enter(page: Page, room: str) -> Locator:
    page.get_by_role("tab", name=room).click()
    return page.get_by_role("tabpanel").filter(visible=True).first


def test_a_picture_is_drawn_step_by_step(page: Page) -> None:
    room = enter(page, "Images")
    before = room.locator(".exhibit img").first.get_attribute("src")
    room.get_by_role("button", name="Draw").click()
    expect(room.locator(".exhibit .caption").first).to_have_text(re.compile("seed"), timeout=LONG)
    expect(room.get_by_role("button", name="Draw")).to_be_visible(timeout=LONG)
    picture = room.locator(".exhibit img").first
    assert picture.get_attribute("src") != before
    assert picture.evaluate("image => image.complete && image.naturalWidth") >= 64


def test_a_tune_is_composed_with_roll_and_downloads(page: Page) -> None:
    room = enter(page, "Music")
    room.get_by_role("button", name="Compose").click()
    expect(room.get_by_role("button", name="Compose")).to_be_hidden()
    expect(room.get_by_role("button", name="Compose")).to_be_visible(timeout=LONG)
    expect(room.get_by_role("img", name="Piano roll")).to_be_visible()
    for ending in ("Download sound (WAV)", "Download notes (MIDI)"):
        button = room.get_by_role("button", name=ending)
        expect(button).to_be_enabled(timeout=LONG)
        with page.expect_download() as download:
            button.click()
        assert Path(download.value.path()).stat().st_size > 100


def test_the_same_z_goes_through_both_models(page: Page) -> None:
    room = enter(page, "Latent")
    explorer = room.locator(".explorer")
    expect(explorer).to_have_attribute("data-updates", re.compile("[1-9]"), timeout=LONG)
    pictures = "canvases => canvases.map(canvas => canvas.toDataURL())"
    before = room.locator(".explorer-pair canvas").evaluate_all(pictures)
    updates = explorer.get_attribute("data-updates") or ""
    room.get_by_role("button", name="New pair").click()
    expect(explorer).not_to_have_attribute("data-updates", updates, timeout=LONG)
    after = room.locator(".explorer-pair canvas").evaluate_all(pictures)
    assert len(after) == 2
    assert after[0] != before[0]
    assert after[1] != before[1]
