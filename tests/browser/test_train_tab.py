"""Train one: a visitor watches a training, others wait in line, and the rooms stay usable."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio as gr
import psutil
import pytest
from gradio_client import Client
from playwright.sync_api import Locator, Page, expect

from demos.latent.tabs.train import create_train
from shared.catalog import Catalog
from shared.live import process
from shared.live.process import TRAINING_LINE
from shared.room import Room
from shared.serve import create_cache, launch
from shared.settings import ROOT, Settings
from tests.browser.conftest import OpenPage

LONG = 180_000  # milliseconds; a real training imports torch first
STUB = Path(__file__).parents[1] / "stubs" / "trainer"  # reports without any training
TINY = ["--count", "60", "--held-out", "20", "--samples-every", "0.2"]
# Gradio runs in this process here, and its own warnings are none of ours.
# And real trainings take their time.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@contextmanager
def run_tab(*options: str, code: Path = STUB) -> Iterator[str]:
    """The tab by itself; ``options`` go to the training scripts, which are those of ``code``."""
    catalog = Catalog(Settings())
    cache = create_cache(catalog)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "ROOT", code)
        with gr.Blocks() as app, gr.Column(elem_classes=["room", "room-latent"]):
            create_train(Room("latent", cache, catalog), [*TINY, *options])
        _, url, _ = launch(app, catalog, prevent_thread_lock=True, quiet=True)
        yield url
        cache.close()
        app.close(verbose=False)


@pytest.fixture(scope="module")
def tab_url() -> Iterator[str]:
    with run_tab() as url:
        yield url


def guests() -> list[psutil.Process]:
    return [
        child for child in psutil.Process().children() if "training.run_live" in child.cmdline()
    ]


def wait_until_idle() -> None:
    """Every training of this process is over."""
    with TRAINING_LINE.join() as place:
        while place.ahead:
            place.wait(1)
    assert not guests()


def start(page: Page) -> Locator:
    """Press the button; the line that says what one is waiting for."""
    page.get_by_label("number input for Minutes").fill("1")
    page.get_by_role("button", name="Start training").click()
    return page.locator(".waking")


def frames(page: Page) -> Locator:
    return page.locator(".training-strip button")


def test_the_first_visit_shows_a_finished_training(tab_url: str, open_page: OpenPage) -> None:
    for size in ("desktop", "phone"):
        with open_page(tab_url, size) as page:
            expect(frames(page).last).to_have_attribute("aria-pressed", "true", timeout=LONG)
            expect(page.get_by_text("A finished example")).to_be_visible()
            newest = page.locator(".mine img").get_attribute("src")
            frames(page).first.press("Enter")
            expect(page.locator(".mine img")).not_to_have_attribute("src", newest or "")
            page.get_by_label("Moment of the training").press("End")
            expect(page.locator(".mine img")).to_have_attribute("src", newest or "")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.evaluate("innerWidth")


def test_a_training_is_watched_and_stopped(tab_url: str, open_page: OpenPage) -> None:
    with open_page(tab_url) as page:
        status = start(page)
        expect(status).to_have_text(re.compile(r"Training · \d:\d\d · \d:\d\d left"), timeout=LONG)
        caption = page.locator(".exhibit .caption").first
        expect(caption).to_have_text(
            re.compile(r"^\s*VAE from random weights, seed \d+"), timeout=LONG
        )
        expect(page.locator("figure.reference")).to_contain_text("The bundled VAE")
        expect(page.locator(".training-curves figure")).to_have_count(3)
        expect(frames(page)).to_have_count(8, timeout=LONG)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)
        expect(caption).to_have_text(re.compile(r"stopped\s*$"))
        expect(status).to_have_count(0)
        expect(frames(page)).to_have_count(8)  # what it drew stays
        wait_until_idle()


def test_a_finished_training_is_compared_with_the_bundled_model(open_page: OpenPage) -> None:
    with run_tab("--max-steps", "2", code=ROOT) as url, open_page(url) as page:
        page.get_by_label("A GAN").check()
        start(page)
        expect(page.locator(".exhibit .caption").first).to_have_text(
            re.compile(r"minutes on this machine, .* 2 steps: .* The bundled GAN.* reaches"),
            timeout=LONG,
        )
        expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)
        expect(frames(page)).to_have_count(3)  # before, after each step
        wait_until_idle()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_training_that_dies_is_explained_and_the_next_begins(
    tab_url: str, open_page: OpenPage
) -> None:
    with open_page(tab_url) as page:
        status = start(page)
        expect(status).to_have_text(re.compile("Training"), timeout=LONG)
        guests()[0].send_signal(signal.SIGKILL)
        expect(page.locator(".failed")).to_have_text(re.compile("ended from outside"), timeout=LONG)
        status = start(page)
        expect(page.locator(".failed")).to_have_count(0)
        expect(status).to_have_text(re.compile("Training"), timeout=LONG)
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)
        wait_until_idle()


def test_others_wait_in_line_until_a_visitor_stops_or_leaves(
    tab_url: str, open_page: OpenPage
) -> None:
    with open_page(tab_url) as second, open_page(tab_url) as third:
        with open_page(tab_url) as first:
            expect(start(first)).not_to_have_text(re.compile("One moment"), timeout=LONG)
            status = start(second)
            expect(status).to_have_text(re.compile("you are next"), timeout=LONG)
            last = start(third)
            expect(last).to_have_text(re.compile("1 more before you"), timeout=LONG)
        expect(status).to_have_text(re.compile("Starting|Drawing|Asking|Training"), timeout=LONG)
        expect(last).to_have_text(re.compile("you are next"), timeout=LONG)
        assert len(guests()) == 1
        third.get_by_role("button", name="Stop").click()
        expect(third.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)
        expect(third.get_by_text("A finished example")).to_be_visible()
        expect(frames(second).last).to_be_visible(timeout=LONG)
    wait_until_idle()  # the second visitor has left, too


def test_minutes_out_of_range_are_refused(tab_url: str, open_page: OpenPage) -> None:
    with open_page(tab_url) as page:
        page.get_by_label("Seed").fill("9999999999")
        page.get_by_role("button", name="Start training").click()
        expect(page.locator(".failed")).to_have_text(
            re.compile("seed must be at most"), timeout=LONG
        )
        expect(page.get_by_role("button", name="Start training")).to_be_visible()


def test_other_rooms_answer_during_a_training(app_url: str, open_page: OpenPage) -> None:
    with open_page(app_url) as page:
        page.get_by_role("tab", name="Latent").click()
        page.get_by_role("tab", name="Train one").click()
        page.get_by_role("button", name="Start training").click()
        status = page.locator(".waking")
        expect(status).to_have_text(re.compile("Starting|Drawing|Asking|Training"), timeout=LONG)
        client = Client(app_url, verbose=False)
        *_, recipe = client.predict(api_name="/sample_latent")
        assert recipe["seed"] >= 0
        text = client.predict(max_new_tokens=8, api_name="/generate_text")
        assert text
        expect(status).to_have_text(re.compile("Starting|Drawing|Asking|Training"))
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)
