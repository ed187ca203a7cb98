"""Waiting for a model: one sees what for, can stop it, and loses nothing."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from app import build_app
from demos import DEMOS
from shared.catalog import Catalog, GalleryLoader
from shared.errors import ModelUnavailable
from shared.loader import Report
from shared.model_cache import ModelCache
from shared.serve import launch
from shared.settings import Settings
from tests.browser.conftest import OpenPage

LONG = 60_000  # milliseconds; the first drawing imports its libraries
# Gradio runs in this process here, and its own warnings are none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


class HeldLoader(GalleryLoader):
    """Files come when the test says so, or never."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Catalog(settings))
        self.go_on = threading.Event()
        self.broken = False

    def fetch(self, key: str, report: Report) -> Path:
        while not self.go_on.wait(0.02):
            report("Downloading", 43_000_000, 100_000_000)
        if self.broken:
            raise ModelUnavailable("The files cannot be found.")
        return super().fetch(key, report)


@pytest.fixture
def loader() -> HeldLoader:
    return HeldLoader(Settings())


@pytest.fixture
def room(loader: HeldLoader, open_page: OpenPage) -> Iterator[Page]:
    """The image room over the real cache, catalogue and model."""
    cache = ModelCache(10**10, loader)
    app = build_app(cache, loader.catalog, [one for one in DEMOS if one.slug == "image"])
    _, url, _ = launch(app, loader.catalog, prevent_thread_lock=True, quiet=True)
    with open_page(url) as page:
        yield page
    cache.close()
    app.close(verbose=False)


def exhibit(page: Page) -> tuple[str | None, ...]:
    """The picture, its caption, the filmstrip and the recipe."""
    picture = page.locator(".exhibit img").first.get_attribute("src")
    caption = page.locator(".exhibit .caption").first.inner_text()
    return (picture, caption, *page.locator(".inside").all_text_contents())


def test_stop_while_a_model_comes_leaves_all_as_it_was(room: Page, loader: HeldLoader) -> None:
    before = exhibit(room)
    room.get_by_role("button", name="Draw").click()
    waiting = room.locator(".waking")
    expect(waiting).to_have_text("Downloading Critters · 43 % of 100 MB …", timeout=LONG)
    assert exhibit(room) == before
    room.get_by_role("button", name="Stop").click()
    expect(room.get_by_role("button", name="Draw")).to_be_visible()
    expect(waiting).to_have_count(0)
    assert exhibit(room) == before

    loader.go_on.set()
    room.get_by_role("button", name="Draw").click()
    expect(room.locator(".exhibit .caption").first).to_have_text(re.compile("seed"), timeout=LONG)
    expect(room.get_by_role("button", name="Draw")).to_be_visible(timeout=LONG)


def test_a_load_that_fails_leaves_all_as_it_was(room: Page, loader: HeldLoader) -> None:
    before = exhibit(room)
    loader.broken = True
    loader.go_on.set()
    room.get_by_role("button", name="Draw").click()
    message = room.locator(".failed").get_by_text("The files cannot be found.")
    expect(message).to_be_visible(timeout=LONG)
    expect(room.get_by_role("button", name="Draw")).to_be_visible()
    expect(message).to_be_visible()  # it stays where the visitor looks
    assert exhibit(room) == before
    loader.broken = False
    room.get_by_role("button", name="Draw").click()
    expect(message).to_have_count(0)
    expect(room.get_by_role("button", name="Draw")).to_be_visible(timeout=LONG)


def test_the_caption_says_that_a_drawing_was_stopped(room: Page, loader: HeldLoader) -> None:
    loader.go_on.set()
    room.get_by_label("number input for Steps").fill("50")
    room.get_by_role("button", name="Draw").click()
    caption = room.locator(".exhibit .caption").first
    expect(caption).to_have_text(re.compile(r"step \d+ of 50"), timeout=LONG)
    room.get_by_role("button", name="Stop").click()
    expect(caption).to_have_text(re.compile(r"step \d+ of 50 .* stopped"), timeout=LONG)
