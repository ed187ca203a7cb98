"""Train one, images: a visitor watches a training, keeps the model, draws with it, discards it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
from playwright.sync_api import Locator, Page, expect

from demos.image.tabs.draw import create_draw
from demos.image.tabs.train import create_train
from shared.catalog import Catalog
from shared.critters.live_prompts import PROMPTS
from shared.live.process import TRAINING_LINE
from shared.room import Room
from shared.serve import create_cache, launch
from shared.settings import Settings
from shared.ui.controls import choose_model
from shared.visitor_models import VisitorModels
from tests.browser.conftest import OpenPage

LONG = 300_000  # milliseconds; each training imports torch and diffusers first
TINY = ["--count", "60", "--width", "32", "--batch-size", "2", "--samples-every", "0.2"]
# Gradio runs in this process here, and its own warnings are none of ours.
# And real trainings take their time.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def tab_url() -> Iterator[str]:
    """The tab beside Draw, over few critters and with a slim U-Net."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_IS_E2E_TEST", "1")  # who leaves is forgotten in a second, not an hour
        catalog = Catalog(Settings())
        cache = create_cache(catalog)
        room = Room("image", cache, catalog)
        with gr.Blocks() as app, gr.Column(elem_classes=["room", "room-image"]):
            model = choose_model(room.catalog, "image")
            with gr.Tabs():
                with gr.Tab("Train one"):
                    create_train(room, model, TINY)
                with gr.Tab("Draw"):
                    create_draw(room, model)
        _, url, _ = launch(app, catalog, prevent_thread_lock=True, quiet=True)
        yield url
        cache.close()
        app.close(verbose=False)


def start(page: Page) -> Locator:
    """Press the button; the line that says what one is waiting for."""
    page.get_by_label("number input for Minutes").fill("1")
    page.get_by_role("button", name="Start training").click()
    return page.locator(".waking")


def frames(page: Page) -> Locator:
    return page.locator(".training-strip button")


def stop(page: Page) -> None:
    page.get_by_role("button", name="Stop").filter(visible=True).click()
    expect(page.get_by_role("button", name="Start training")).to_be_visible(timeout=LONG)


def test_the_tab_is_ready_on_any_screen(tab_url: str, open_page: OpenPage) -> None:
    for size in ("desktop", "phone"):
        with open_page(tab_url, size) as page:
            prompts = page.locator(".training-prompts li")
            expect(prompts).to_have_text(list(PROMPTS), timeout=LONG)
            expect(page.get_by_role("button", name="Start training")).to_be_visible()
            expect(page.get_by_role("button", name="Keep it")).to_have_count(0)
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.evaluate("innerWidth")


def test_a_training_is_watched_stopped_kept_used_and_discarded(
    tab_url: str, open_page: OpenPage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left, close = threading.Event(), VisitorModels.close
    folders: list[Path] = []

    def tell(models: VisitorModels) -> None:
        folders.append(models.fresh.parent)
        close(models)
        left.set()

    monkeypatch.setattr(VisitorModels, "close", tell)
    with open_page(tab_url) as page:
        page.set_default_timeout(LONG)
        picker = page.get_by_label("Model", exact=True)
        status = start(page)
        expect(status).to_have_text(re.compile("learning to read first"), timeout=LONG)
        expect(page.locator("figure.reference")).to_contain_text("The bundled model")
        expect(page.locator(".training-curves figure")).to_have_count(2)
        expect(frames(page).nth(3)).to_be_visible(timeout=LONG)
        expect(page.locator(".mine figcaption")).to_contain_text("twelve prompts")
        expect(page.locator(".training-curves")).to_contain_text("Wishes that came true")
        stop(page)
        caption = page.locator(".exhibit .caption").first
        expect(caption).to_have_text(re.compile(r"^\s*Text encoder and U-Net .* stopped\s*$"))
        assert frames(page).count() >= 4  # what it drew stays

        page.get_by_role("button", name="Keep it for this visit").click()
        expect(picker).to_have_value(re.compile(r"^Yours, "))
        expect(page.get_by_text("It is yours only")).to_be_visible()
        page.get_by_role("tab", name="Draw").click()
        page.get_by_role("button", name="Draw", exact=True).click()
        expect(page.get_by_text(re.compile(r"Yours, .*seed \d+")).first).to_be_visible(timeout=LONG)

        with open_page(tab_url) as other:  # nobody else is offered it
            theirs = other.get_by_label("Model", exact=True)
            theirs.click(timeout=LONG)
            expect(other.get_by_role("option", name="Critters")).to_be_visible()
            expect(other.get_by_role("option", name=re.compile("Yours"))).to_have_count(0)

        page.get_by_role("tab", name="Train one").click()
        page.get_by_role("button", name=re.compile("Discard “Yours")).click()
        expect(picker).to_have_value("Critters")
        expect(page.get_by_role("button", name=re.compile("Discard"))).to_have_count(0)
        picker.click()
        expect(page.get_by_role("option", name=re.compile("Yours"))).to_have_count(0)
    assert left.wait(LONG / 1000)
    assert not any(folder.exists() for folder in folders)


def test_a_phone_trains_stops_before_the_first_step_and_is_refused_nonsense(
    tab_url: str, open_page: OpenPage
) -> None:
    with open_page(tab_url, "phone") as page:
        page.set_default_timeout(LONG)
        with TRAINING_LINE.join():  # somebody else trains
            expect(start(page)).to_have_text(re.compile("you are next"), timeout=LONG)
            stop(page)
        expect(page.get_by_text("Stopped before the first step")).to_be_visible(timeout=LONG)
        expect(page.get_by_role("button", name="Keep it")).to_have_count(0)
        page.get_by_label("Seed").fill("9999999999")
        page.get_by_role("button", name="Start training").click()
        expect(page.locator(".failed")).to_have_text(
            re.compile("seed must be at most"), timeout=LONG
        )
        expect(page.get_by_role("button", name="Start training")).to_be_visible()
