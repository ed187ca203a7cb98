"""A program that waits for a download keeps nobody from the device."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from gradio_client import Client

from app import build_app
from shared.catalog import Catalog, GalleryLoader
from shared.loader import Report
from shared.model_cache import ModelCache
from shared.serve import launch
from shared.settings import Settings

# Gradio runs in this process here, and its own warnings are none of ours.
pytestmark = pytest.mark.filterwarnings("ignore")


class HeldPictures(GalleryLoader):
    """Image models come when the test says so."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(Catalog(settings))
        self.asked, self.go_on = threading.Event(), threading.Event()

    def fetch(self, key: str, report: Report) -> Path:
        while key.startswith("image/") and not self.go_on.wait(0.02):
            self.asked.set()
            report("Downloading", 1, 2)
        return super().fetch(key, report)


def test_others_are_served_while_a_model_is_downloaded() -> None:
    settings = Settings(device="cpu", offline=True)
    loader = HeldPictures(settings)
    cache = ModelCache(10**9, loader)
    app = build_app(cache, loader.catalog)
    _, url, _ = launch(app, loader.catalog, prevent_thread_lock=True, quiet=True)
    waiting, other = Client(url, verbose=False), Client(url, verbose=False)
    drawing = waiting.submit(num_inference_steps=2, api_name="/generate_image")
    assert loader.asked.wait(30)
    text, _ = other.predict("Once", max_new_tokens=4, api_name="/generate_text")
    assert text.strip()
    assert not drawing.done()
    loader.go_on.set()
    picture, _ = drawing.result(60)
    assert Path(picture).is_file()
    cache.close()
    app.close(verbose=False)
