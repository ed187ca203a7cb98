"""The browser, and the gallery freshly opened in it on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from tests.conftest import CHROMIUM_FLAGS

SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}
LONG = 240_000  # milliseconds; measuring and training keep both cores busy
OpenPage = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> OpenPage:
    """Opens an address; in the end there was no console error and no foreign request."""

    @contextmanager
    def opened(url: str, size: str = "desktop") -> Iterator[Page]:
        width, height = SIZES[size]
        page = browser.new_page(viewport={"width": width, "height": height})
        errors: list[str] = []
        hosts: set[str | None] = set()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: hosts.add(urlparse(r.url).hostname))
        page.goto(url)
        yield page
        page.close()
        assert not errors
        assert hosts <= {"127.0.0.1", "localhost", None, ""}

    return opened


@pytest.fixture(params=sorted(SIZES))
def page(request: pytest.FixtureRequest, open_page: OpenPage, app_url: str) -> Iterator[Page]:
    """The gallery, freshly opened, once on a desktop and once on a phone."""
    with open_page(app_url, request.param) as page:
        yield page


@pytest.fixture
def desktop(open_page: OpenPage, app_url: str) -> Iterator[Page]:
    """The gallery on a desktop only, for what a phone does in the same way."""
    with open_page(app_url) as page:
        yield page


def enter_tab(page: Page, room: str, tab: str) -> Locator:
    """Open a tab of a room; a phone shows the later ones in a menu only."""
    page.set_default_timeout(LONG)
    page.get_by_role("tab", name=room).click()
    own = page.get_by_role("tab", name=tab, exact=True)
    menu = page.get_by_role("button", name="More tabs").filter(visible=True)
    expect(own.or_(menu).first).to_be_visible(timeout=LONG)
    if own.is_visible():
        own.click()
    else:
        menu.click()
        page.locator(".overflow-dropdown:visible").get_by_role("button", name=tab).click()
    return page.get_by_role("tabpanel").filter(visible=True).last


def enter_latent(page: Page, tab: str) -> Locator:
    """Open a tab of the latent-space room."""
    return enter_tab(page, "Latent", tab)
