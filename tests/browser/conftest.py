"""The browser, and the gallery freshly opened in it on a desktop and on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import urlparse

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.conftest import CHROMIUM_FLAGS

SIZES = {"desktop": (1440, 1000), "phone": (390, 844)}
LONG = 240_000  # milliseconds; measuring and training keep both cores busy
OpenPage = Callable[..., AbstractContextManager[Page]]
Contexts = Callable[[str], BrowserContext]


@pytest.fixture(scope="package")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


def open_context(browser: Browser, size: str) -> BrowserContext:
    width, height = SIZES[size]
    return browser.new_context(viewport={"width": width, "height": height})


@pytest.fixture(scope="module")
def contexts(browser: Browser) -> Iterator[Contexts]:
    """The context of a size: a module has one, so that its pages find scripts compiled."""
    opened: dict[str, BrowserContext] = {}

    def find(size: str) -> BrowserContext:
        if size not in opened:
            opened[size] = open_context(browser, size)
        return opened[size]

    yield find
    for context in opened.values():
        context.close()


@pytest.fixture
def open_page(browser: Browser, contexts: Contexts) -> OpenPage:
    """Opens an address; in the end there was no console error and no foreign request.

    A page finds nothing that one before it has stored, but for the HTTP cache. One that is
    ``alone`` may change its whole context, as a clock of its own does.
    """

    @contextmanager
    def opened(url: str, size: str = "desktop", alone: bool = False) -> Iterator[Page]:
        page = (open_context(browser, size) if alone else contexts(size)).new_page()
        errors: list[str] = []
        hosts: set[str | None] = set()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda r: hosts.add(urlparse(r.url).hostname))
        try:
            page.goto(url)
            yield page
            page.evaluate("localStorage.clear()")  # the gallery has no cookies
        finally:
            page.close()
            if alone:
                page.context.close()
        assert not errors
        assert hosts <= {"127.0.0.1", "localhost", None, ""}

    return opened


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that is marked ``phone`` on a phone, too: one that is about what fits where."""
    if "page" in metafunc.fixturenames:
        is_both = metafunc.definition.get_closest_marker("phone")
        metafunc.parametrize("page", sorted(SIZES) if is_both else ["desktop"], indirect=True)


@pytest.fixture
def page(request: pytest.FixtureRequest, open_page: OpenPage, app_url: str) -> Iterator[Page]:
    """The gallery, freshly opened on a desktop; where a test is marked ``phone``, on both."""
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
