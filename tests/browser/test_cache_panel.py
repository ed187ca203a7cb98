"""What a visitor does with the models in memory: look, load, unload, and leave them alone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from urllib.request import urlopen

import pytest
from playwright.sync_api import Locator, Page, expect

from shared.settings import ROOT
from tests.browser.conftest import OpenPage, enter_latent

LONG = 60_000  # milliseconds; the first use of a room imports its libraries
ROOMS = ("Text", "Images", "Music", "Latent space")


def handle(page: Page) -> Locator:
    return page.get_by_role("button", name="Models in memory", exact=True)


def open_drawer(page: Page) -> Locator:
    handle(page).click()
    drawer = page.get_by_role("complementary", name="Models in memory")
    expect(drawer).to_be_visible()
    return drawer


def overlap(one: Locator, other: Locator) -> bool:
    first, second = one.bounding_box(), other.bounding_box()
    assert first
    assert second
    beside = first["x"] >= second["x"] + second["width"]
    beside |= second["x"] >= first["x"] + first["width"]
    below = first["y"] >= second["y"] + second["height"]
    below |= second["y"] >= first["y"] + first["height"]
    return not (beside or below)


def row(drawer: Locator, title: str) -> Locator:
    return drawer.get_by_role("listitem").filter(has=drawer.page.get_by_text(title, exact=True))


@pytest.mark.phone
def test_the_drawer_opens_in_every_room_and_covers_nothing_when_closed(page: Page) -> None:
    for room in ROOMS:
        page.get_by_role("tab", name=room).click()
        with page.expect_response("**/run/predict*"):
            drawer = open_drawer(page)
        box = drawer.bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= page.evaluate("innerWidth")
        drawer.get_by_role("button", name="Close").click()
        expect(drawer).to_be_hidden()
        assert not overlap(handle(page), page.get_by_role("heading", name="Generative Gallery"))
        assert not overlap(handle(page), page.get_by_role("tablist").first)


def test_the_keyboard_is_enough(page: Page) -> None:
    handle(page).focus()
    expect(handle(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(handle(page)).to_have_attribute("aria-expanded", "true")
    drawer = page.get_by_role("complementary", name="Models in memory")
    expect(drawer).to_be_visible()
    page.keyboard.press("Tab")
    expect(drawer.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(handle(page)).to_be_focused()


def test_a_model_is_loaded_and_unloaded_by_its_button(page: Page) -> None:
    model = row(open_drawer(page), "Critters GAN")
    load = model.get_by_role("button", name="Load Critters GAN", exact=True)
    unload = model.get_by_role("button", name="Unload Critters GAN")
    expect(load.or_(unload)).to_be_visible()
    if unload.is_visible():  # another test has used it
        unload.click()
    load.click()
    expect(unload).to_be_visible(timeout=LONG)
    expect(model).to_contain_text("awake")
    unload.click()
    expect(model).to_contain_text("asleep")
    expect(load).to_be_visible()


def test_generating_in_a_room_shows_without_pressing_anything(
    open_page: OpenPage, app_url: str
) -> None:
    with open_page(app_url) as page:
        enter_latent(page, "Walk")
        drawer = open_drawer(page)
        # The page makes room for the drawer.
        page.get_by_role("button", name="Walk", exact=True).click()
        for title in ("Critters VAE", "Critters GAN"):
            expect(row(drawer, title)).to_contain_text("awake", timeout=LONG)


@pytest.fixture(scope="module")
def store_url() -> Iterator[str]:
    """Address of a drawer whose downloads a test holds back."""
    with subprocess.Popen(
        [sys.executable, "-u", "-m", "tests.browser.held_store"], cwd=ROOT, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        try:
            line = next(line for line in process.stdout if b"http://" in line)
            yield line.decode().split()[-1].rstrip("/")
        finally:
            process.terminate()


def steer(url: str, wish: str) -> None:
    urlopen(f"{url}/steer/{wish}").close()


def test_an_idle_drawer_is_sent_nothing_and_a_closed_one_asks_for_nothing(
    open_page: OpenPage, store_url: str
) -> None:
    with open_page(store_url, alone=True) as page:
        page.clock.install()
        with page.expect_response("**/run/predict*"):
            drawer = open_drawer(page)
        with page.expect_response("**/run/predict*") as look:  # due every second
            page.clock.run_for(2_000)
        assert "Storyteller" not in look.value.text()
        with page.expect_response("**/run/predict*"):
            drawer.get_by_role("button", name="Close").click()
        page.clock.run_for(2_000)  # one more look may have been under way
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.clock.run_for(30_000)
        with page.expect_response("**/run/predict*"):
            open_drawer(page)
        assert len(asked) == 1


def test_others_see_a_load_but_only_who_asked_can_cancel_it(
    open_page: OpenPage, store_url: str
) -> None:
    with open_page(store_url) as mine, open_page(store_url) as theirs:
        here, there = (row(open_drawer(page), "SmolLM2 135M Instruct") for page in (mine, theirs))
        load = here.get_by_role("button", name="Load")
        load.focus()
        load.press("Enter")
        cancel = here.get_by_role("button", name="Cancel SmolLM2 135M Instruct")
        expect(cancel).to_be_focused()  # the same button with another word
        for model in (here, there):
            expect(model).to_contain_text(re.compile(r"downloading 43\s%"))
            expect(model.get_by_role("progressbar")).to_have_attribute("aria-valuenow", "43")
        expect(there.get_by_role("button")).to_have_count(0)
        cancel.press("Enter")
        for model in (here, there):
            expect(model).to_contain_text("asleep")


def test_a_load_goes_on_when_the_drawer_is_closed(open_page: OpenPage, store_url: str) -> None:
    with open_page(store_url) as page:
        drawer = open_drawer(page)
        drawer.get_by_role("button", name="Load Tunes").click()
        expect(row(drawer, "Tunes")).to_contain_text("downloading")
        page.keyboard.press("Escape")
        expect(drawer).to_be_hidden()
        steer(store_url, "let-go")
        expect(row(open_drawer(page), "Tunes")).to_contain_text("awake")


def test_a_load_ends_when_its_visitor_leaves(open_page: OpenPage, store_url: str) -> None:
    with open_page(store_url) as page:
        model = row(open_drawer(page), "SD Turbo")
        with open_page(store_url) as leaving:
            open_drawer(leaving).get_by_role("button", name="Load SD Turbo").click()
            expect(model).to_contain_text("downloading")
        expect(model).to_contain_text("not on this computer", timeout=LONG)


def test_a_failed_load_and_a_model_in_use_are_explained(
    open_page: OpenPage, store_url: str
) -> None:
    with open_page(store_url, "phone") as page:
        drawer = open_drawer(page)
        drawer.get_by_role("button", name="Load Critters VAE", exact=True).click()
        expect(row(drawer, "Critters VAE")).to_contain_text("downloading")
        steer(store_url, "break")
        page.get_by_text("The <hub> cannot be reached.").click(trial=True)  # not covered
        expect(row(drawer, "Critters VAE")).to_contain_text("asleep")

        drawer.get_by_role("button", name="Load Storyteller").click()
        steer(store_url, "let-go")
        expect(row(drawer, "Storyteller")).to_contain_text("awake")
        steer(store_url, "borrow")
        unload = drawer.get_by_role("button", name="Unload Storyteller")
        expect(row(drawer, "Storyteller")).to_contain_text("in use by the text room")
        expect(unload).to_have_count(0)
        steer(store_url, "return")
        expect(row(drawer, "Storyteller")).to_contain_text("awake")
        expect(unload).to_be_visible()


def test_the_keyboard_stays_with_its_model_and_in_the_drawer(
    open_page: OpenPage, store_url: str
) -> None:
    steer(store_url, "hold")
    with open_page(store_url, "phone") as page:
        drawer = open_drawer(page)
        load = drawer.get_by_role("button", name="Load Critters GAN", exact=True)
        load.click()
        cancel = drawer.get_by_role("button", name="Cancel Critters GAN")
        expect(cancel).to_be_visible()
        for button, other in ((cancel, load), (load, cancel), (cancel, load)):
            button.press("Enter")
            expect(other).to_be_focused()
        buttons = drawer.get_by_role("button")
        buttons.last.focus()
        page.keyboard.press("Tab")
        expect(drawer.get_by_role("button", name="Close models in memory")).to_be_focused()
        page.keyboard.press("Shift+Tab")
        expect(buttons.last).to_be_focused()


def test_looking_again_moves_neither_the_selection_nor_the_nodes(
    open_page: OpenPage, store_url: str
) -> None:
    with open_page(store_url) as page:
        drawer = open_drawer(page)
        title = drawer.get_by_text("Critters GAN", exact=True)
        title.select_text()
        drawer.get_by_role("button", name="Load Critters", exact=True).click()
        expect(row(drawer, "Critters")).to_contain_text("downloading")
        steer(store_url, "let-go")
        expect(row(drawer, "Critters")).to_contain_text("awake")
        assert page.evaluate("String(getSelection())") == "Critters GAN"
        expect(handle(page)).to_have_attribute("aria-expanded", "true")
