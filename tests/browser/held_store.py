"""The drawer alone, over the real cache and catalogue, with downloads that a test holds back.

``python -m tests.browser.held_store`` prints its address. ``/let-go`` lets the downloads end,
``/break`` makes them fail, ``/borrow`` and ``/return`` take and end a lease.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Hashable, Mapping
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shared.cache_panel import create_cache_panel
from shared.catalog import Catalog
from shared.errors import ModelUnavailable
from shared.loader import Loader, Report
from shared.model_cache import ModelCache
from shared.serve import launch
from shared.settings import Settings


class HeldLoader(Loader):
    """Models are numbers; their files come when the test says so."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.go_on = threading.Event()
        self.broken = False

    def expected_bytes(self, key: str) -> int:
        return self.catalog.get(key).bytes

    def fetch(self, key: str, report: Report) -> None:
        while not self.go_on.wait(0.02):
            report("Downloading", 43, 100)
        self.go_on.clear()
        if self.broken:
            raise ModelUnavailable("The <hub> cannot be reached.")

    def load(self, key: str, *_: object) -> int:
        return self.catalog.get(key).bytes

    def move(self, model: Any, device: str) -> None:
        """There is one device."""

    def measure(self, model: int) -> Mapping[Hashable, int]:
        return {model: model}


def main() -> None:
    """Launch it on a free port."""
    settings = Settings()
    catalog = Catalog(settings)
    loader = HeldLoader(catalog)
    cache = ModelCache(10**10, loader)
    leases = contextlib.ExitStack()

    def steer(request: Request) -> JSONResponse:
        wish = request.path_params["wish"]
        if wish == "borrow":
            leases.enter_context(cache.lease("text/storyteller", "the text room"))
        elif wish == "return":
            leases.close()
        elif wish == "hold":
            loader.go_on.clear()
        else:
            loader.broken = wish == "break"
            loader.go_on.set()
        return JSONResponse(None)

    with gr.Blocks() as app:
        create_cache_panel(cache, catalog)
    launch(app, catalog, app_kwargs={"routes": [Route("/steer/{wish}", steer)]})


if __name__ == "__main__":
    main()
