"""Runs the gallery: builds the cache, launches the page, logs, shuts down."""

from __future__ import annotations

import functools
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
import psutil

from shared import processes, zero_gpu
from shared.assets import create_asset_routes
from shared.catalog import Catalog, GalleryLoader, ModelSpec, is_visitor_model
from shared.devices import device_memory_bytes
from shared.errors import GalleryError
from shared.limits import QUICK, THREADS
from shared.metrics import create_metrics_route
from shared.model_cache import ModelCache
from shared.settings import ROOT, Settings
from shared.temporary_files import (
    MAX_AGE,
    SWEEP_SECONDS,
    ProcessFolder,
    open_process_folder,
)
from shared.ui.endpoints import add_endpoint
from shared.ui.theme import CSS_PATH, create_theme

SHUTDOWN_SECONDS = 3.0


def add_catalog_endpoints(cache: ModelCache, catalog: Catalog) -> None:
    """Publish ``list_models`` and ``cache_snapshot``."""

    def list_models() -> list[dict[str, Any]]:
        """List every model: key, title, licence, size, source, download, whether it is loaded."""
        loaded = {model["key"] for model in cache.snapshot()["models"] if model["loaded"]}
        return [
            {
                "key": spec.key,
                "title": spec.title,
                "summary": spec.summary,
                "licence": spec.licence,
                "parameters": spec.parameters,
                "bytes": spec.bytes,
                "source": spec.origin,
                "download_bytes": catalog.download_bytes(spec.key),
                "loaded": spec.key in loaded,
            }
            for spec in _list_specs(catalog)
        ]

    def cache_snapshot() -> dict[str, Any]:
        """Return what the model cache holds, its budget, and its counts so far."""
        snapshot = cache.snapshot()
        # Anyone who knows the key of a visitor's own model could use it.
        models = [one for one in snapshot["models"] if not is_visitor_model(one["key"])]
        return snapshot | {"models": models}

    for function in (list_models, cache_snapshot):
        add_endpoint(
            function.__name__, function, {}, [gr.JSON(label="result", visible=False)], heavy=False
        )


def _list_specs(catalog: Catalog) -> Iterator[ModelSpec]:
    """Yield every entry, each followed by its engine if this machine uses that."""
    for spec in catalog:
        yield spec
        engine_key = catalog.engine_key(spec.key)
        if engine_key != spec.key:
            yield catalog.get(engine_key)


def create_cache(catalog: Catalog) -> ModelCache:
    """Make the cache of this process for the models of ``catalog``."""
    settings = catalog.settings
    return ModelCache(
        settings.cache_bytes,
        GalleryLoader(catalog),
        device_budget=lambda device: settings.device_bytes or device_memory_bytes(device),
        memory=lambda: int(psutil.Process().memory_info().rss),
        patience=settings.patience_seconds,
        idle_timeout=settings.idle_seconds,
    )


def launch(app: gr.Blocks, catalog: Catalog, **options: Any) -> Any:
    """Launch ``app`` with the gallery's theme, limits and asset routes.

    ``options`` are those of ``gr.Blocks.launch``.
    """
    app.queue(max_size=catalog.settings.max_queue, default_concurrency_limit=QUICK)
    app_options = options.pop("app_kwargs", {})
    routes = [*app_options.get("routes", []), *create_asset_routes(catalog)]
    return app.launch(
        theme=create_theme(),
        css_paths=[CSS_PATH, *sorted((ROOT / "demos").glob("*/room.css"))],
        footer_links=["api", "settings"],
        enable_monitoring=False,
        max_file_size="10mb",
        max_threads=THREADS,
        show_error=True,
        app_kwargs=app_options | {"routes": routes},
        **options,
    )


def serve(build: Callable[[ModelCache, Catalog], gr.Blocks]) -> None:
    """Launch the app of ``build`` with the environment's settings, until Ctrl-C or SIGTERM.

    Then loads are cancelled, and running requests have ``SHUTDOWN_SECONDS`` to end. The exit status
    is 0; if the gallery cannot start, the process exits with a message.
    """
    _log_to_stderr()
    try:
        settings = zero_gpu.adapt(Settings.from_environment())
        catalog = Catalog(settings)
        cache = create_cache(catalog)
        folder = open_process_folder()
        app = build(cache, catalog)
        app.delete_cache = (SWEEP_SECONDS, MAX_AGE)  # files that Gradio knows of
        for key in settings.preload:
            catalog.get(key)  # report an unknown key at once
        preload = functools.partial(zero_gpu.preload, cache, catalog)
        if zero_gpu.ACTIVE:
            preload()
    except GalleryError as error:
        sys.exit(f"The gallery cannot start. {error}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    try:
        routes = [create_metrics_route(cache)] if settings.metrics else []
        launch(app, catalog, prevent_thread_lock=True, app_kwargs={"routes": routes})
        gc.freeze()  # what exists by now lives until the end
        gc.enable()
        if not zero_gpu.ACTIVE:  # the page comes first
            threading.Thread(target=_print_failure, args=[preload], daemon=True).start()
        while app.is_running:
            time.sleep(0.5)  # Ctrl-C does not end one long wait on Windows
    except KeyboardInterrupt:
        _end(app, cache, folder)


def _log_to_stderr(level: int = logging.INFO) -> None:
    """Print the log of the gallery's own modules."""
    logger = logging.getLogger("shared")
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.addHandler(handler)
    logger.setLevel(level)


def _end(app: gr.Blocks, cache: ModelCache, folder: ProcessFolder) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):  # a second one ends the process at once
        signal.signal(number, signal.SIG_DFL)
    threading.Thread(target=app.close, args=[False], daemon=True).start()
    cache.close(SHUTDOWN_SECONDS)
    processes.stop()
    for worker in multiprocessing.active_children():  # those of ZeroGPU
        worker.terminate()
    folder.close()
    # A thread may still be loading, which cannot be interrupted. Waiting for it may take minutes,
    # and finalising Python while it runs can crash.
    sys.stdout.flush()
    os._exit(0)


def _print_failure(preload: Callable[[], None]) -> None:
    try:
        preload()
    except GalleryError as error:
        print(f"GALLERY_PRELOAD: {error}", file=sys.stderr)
