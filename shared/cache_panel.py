"""The drawer "Models in memory": shows the model cache, and loads and unloads models.

Pure functions turn a snapshot into HTML; ``create_cache_panel`` adds it to the page. It is not a
``gr.Sidebar``, whose handle covers the page and has no accessible name, and whose contents can be
reached with the keyboard while it is closed. This handle is in the header of the page.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from html import escape
from typing import Any

import gradio as gr

from shared.catalog import Catalog, ModelSpec
from shared.errors import GalleryError
from shared.limits import QUEUES
from shared.model_cache import ModelCache
from shared.ui.events import say_errors

Snapshot = Mapping[str, Any]
Model = Mapping[str, Any]

ROOMS = {"text": "Text", "image": "Images", "music": "Music", "latent": "Latent space"}
REFRESH_SECONDS = 1.0
COUNTS = {
    "hits": "found awake",
    "misses": "found asleep",
    "evictions": "sent to sleep",
    "failures": "failed",
}
DRAWER = """
<button type="button" class="store-handle" aria-controls="store" aria-expanded="false">
  Models in memory</button>
<aside id="store" aria-label="Models in memory">
  <header>
    <h2>Models in memory</h2>
    <button type="button" class="store-button store-close" aria-label="Close models in memory">
      Close</button>
  </header>
  ${value}
</aside>
"""
# Each update resets what is inside the element to the template, so the open state is an attribute
# of the element itself. It is not an HTML popover, which would cover Gradio's messages.
BEHAVIOUR = """
const handle = element.querySelector(".store-handle");
let pressed;
const isOpen = () => element.hasAttribute("data-open");
const updateHandle = () => handle.setAttribute("aria-expanded", isOpen());
const setOpen = (open) => {
  if (open === isOpen()) return;
  if (!open && element.contains(document.activeElement)) handle.focus();
  element.toggleAttribute("data-open", open);
  updateHandle();
  trigger(open ? "expand" : "collapse");
};
watch("value", () => {
  updateHandle();
  // The pressed button may be gone: move the focus to another one of its model.
  if (pressed && document.activeElement === document.body)
    element.querySelector(`[data-key="${pressed}"]`)?.focus();
});
element.addEventListener("focusin", (event) => { pressed = event.target.dataset.key; });
element.addEventListener("keydown", (event) => {
  // Where the drawer covers the page, keep the focus inside it.
  if (event.key !== "Tab" || !isOpen() || innerWidth >= 1000) return;
  const stops = [...element.querySelectorAll("#store button")];
  const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
  if (document.activeElement !== from) return;
  event.preventDefault();
  to.focus();
});
element.addEventListener("keydown", (event) => { if (event.key === "Escape") setOpen(false); });
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button === handle) setOpen(!isOpen());
  else if (button?.matches(".store-close")) setOpen(false);
  else if (button) trigger("click", { action: button.dataset.do, key: button.dataset.key });
});
"""


def create_cache_panel(cache: ModelCache, catalog: Catalog) -> None:
    """Add the drawer and its handle to the current block of the page.

    While the drawer is open, it is rendered once a second and sent only if it has changed. While
    it is closed, nothing is computed or sent.

    Args:
        cache: The cache to show and control.
        catalog: The models to list.
    """
    page = gr.context.Context.root_block
    loads: set[tuple[str | None, str]] = set()  # (session, key) of loads that visitors started
    downloads: dict[str, int] = {}  # bytes by key; updated from the disk when a drawer is opened

    def find_downloads() -> None:
        downloads.update({spec.key: catalog.download_bytes(spec.key) for spec in catalog})

    def refresh(shown: str, request: gr.Request) -> tuple[Any, Any]:
        own = {key for session, key in loads if session == request.session_hash}
        queued = page._queue.get_status().queue_size if page else 0
        snapshot = cache.snapshot()
        downloads.update({model["key"]: 0 for model in snapshot["models"] if model["loaded"]})
        now = show_panel(snapshot, catalog, downloads, own, queued or 0)
        return (gr.skip(), gr.skip()) if now == shown else (now, now)

    def expand(shown: str, request: gr.Request) -> tuple[Any, Any, gr.Timer]:
        find_downloads()
        return *refresh(shown, request), gr.Timer(active=True)

    def act(shown: str, event: gr.EventData, request: gr.Request) -> Iterator[tuple[Any, Any]]:
        spec = catalog.get(event.key)
        load = (request.session_hash, spec.key)
        if event.action == "load":
            loads.add(load)
            yield refresh(shown, request)
            try:
                with contextlib.closing(cache.prepare(spec.key)) as loading:
                    for _ in loading:
                        if load not in loads:
                            break
                        yield gr.skip(), gr.skip()  # here Gradio ends it if the visitor leaves
            finally:
                loads.discard(load)
        elif event.action == "cancel":
            loads.discard(load)
        elif not cache.unload(spec.key):
            raise GalleryError(explain_kept(spec, cache.snapshot()))
        yield refresh(shown, request)

    find_downloads()
    drawer = gr.HTML(
        show_panel(cache.snapshot(), catalog, downloads),
        html_template=DRAWER,
        js_on_load=BEHAVIOUR,
        apply_default_css=False,
        elem_classes="store",
    )
    shown = gr.State("")
    timer = gr.Timer(REFRESH_SECONDS, active=False)
    quick: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    drawer.expand(expand, shown, [drawer, shown, timer], queue=False, **quick)
    drawer.collapse(lambda: gr.Timer(active=False), None, timer, queue=False, **quick)
    timer.tick(refresh, shown, [drawer, shown], queue=False, **quick)
    drawer.click(
        say_errors(act),
        shown,
        [drawer, shown],
        concurrency_id="load",
        concurrency_limit=QUEUES["load"],
        trigger_mode="multiple",
        **quick,
    )


def show_panel(
    snapshot: Snapshot,
    specs: Iterable[ModelSpec],
    downloads: Mapping[str, int],
    own: Collection[str] = (),
    queued: int = 0,
) -> str:
    """Render the contents of the drawer.

    Args:
        snapshot: From ``ModelCache.snapshot``.
        specs: The models to list, loaded or not.
        downloads: Bytes to download before each can be loaded, by key.
        own: Keys of loads that this visitor started and may cancel.
        queued: Visitors in Gradio's queue.

    Returns:
        HTML. It does not depend on the time, so equal HTML means that nothing has changed.
    """
    models = {model["key"]: model for model in snapshot["models"]}
    specs = list(with_engines(specs, models))
    parts = [show_device(device, models, specs) for device in snapshot["devices"]]
    if snapshot["resident_bytes"]:
        taken = format_bytes(round(snapshot["resident_bytes"], -7))  # it varies by megabytes
        parts.append(f"<p>The whole program takes {taken}.</p>")
    for task, title in ROOMS.items():
        rows = [
            show_row(spec, models.get(spec.key), downloads.get(spec.key, 0), spec.key in own)
            for spec in specs
            if spec.task == task
        ]
        if rows:
            parts.append(
                f'<section class="room-{task}"><h3>{title}</h3><ul>{"".join(rows)}</ul></section>'
            )
    return "".join([*parts, show_counts(snapshot, queued)])


def with_engines(specs: Iterable[ModelSpec], present: Collection[str]) -> Iterator[ModelSpec]:
    """Yield ``specs``, each followed by its faster engine if that is in ``present``."""
    for spec in specs:
        yield spec
        if spec.engine and spec.engine.key in present:
            yield spec.engine


def show_device(
    device: Mapping[str, Any], models: Mapping[str, Model], specs: Iterable[ModelSpec]
) -> str:
    """Render a device's memory as a bar with a segment per model, in the colour of its room."""
    used, budget = device["used_bytes"], device["budget_bytes"]
    whole = max(used, budget, 1)
    segments, names = [], []
    for spec in specs:
        model = models.get(spec.key)
        if model and model["device"] == device["device"] and model["bytes"]:
            name = f"{spec.title}, {format_bytes(model['bytes'])}"
            state = "" if model["loaded"] else " reserved"
            segments.append(
                f'<span class="room-{spec.task}{state}" title="{escape(name)}" '
                f'style="width: {100 * model["bytes"] / whole:.2f}%"></span>'
            )
            names.append(name)
    free = f"{format_bytes(max(budget - used, 0))} free"
    return (
        f"<figure><figcaption><b>{escape(name_device(device['device']))}</b> "
        f"<span>{format_bytes(used)} of {format_bytes(budget)}</span></figcaption>"
        f'<div class="store-bar" role="img" aria-label="{escape("; ".join([*names, free]))}">'
        f"{''.join(segments)}</div></figure>"
    )


def show_row(spec: ModelSpec, model: Model | None, download: int = 0, own: bool = False) -> str:
    """Render one model of the catalogue: title, size, state and buttons."""
    measured = model and model["state"] != "loading"
    size = format_bytes(model["bytes"]) if model and measured else ""
    buttons = "".join(
        f'<button type="button" class="store-button" data-do="{action}" '
        f'data-key="{escape(spec.key)}" aria-label="{word} {escape(spec.title)}">{word}</button>'
        for action, word in list_actions(model, own).items()
    )
    return (
        f'<li class="{"awake" if model and model["loaded"] else "asleep"}">'
        f"<div><b>{escape(spec.title)}</b> "
        f"<span>{size or f'about {format_bytes(spec.bytes)}'}</span>"
        f"<p>{escape(describe_state(model, download))}</p>{show_progress(spec, model)}</div>"
        f'<div class="store-buttons">{buttons}</div></li>'
    )


def list_actions(model: Model | None, own: bool) -> dict[str, str]:
    """Return what a visitor can do with a model: actions with the labels of their buttons."""
    if model is None:
        return {"load": "Load"}
    if model["state"] == "loading":
        return {"cancel": "Cancel"} if own else {}
    if model["pinned"] or model["leases"]:
        return {}
    return {"unload": "Unload"} | ({"load": "Load"} if model["state"] == "parked" else {})


def describe_state(model: Model | None, download: int = 0) -> str:
    """Describe a model's state, with the download that it needs first."""
    if model is None:
        if download:
            return f"not on this computer yet, {format_bytes(download)} to download first"
        return "asleep, on this computer"
    waiting = f"{model['waiters']} waiting" if model["waiters"] else ""
    if model["state"] == "loading":
        return ", ".join(filter(None, [describe_progress(model["progress"]), waiting]))
    state = {"parked": "parked in host memory", "in use": describe_use(model)}
    words = [state.get(model["state"], "awake"), waiting]
    if model["pinned"]:
        words.append("kept in memory")
    if model["load_seconds"]:
        words.append(f"loaded in {model['load_seconds']:.1f}\N{NO-BREAK SPACE}s")
    return ", ".join(filter(None, words))


def describe_use(model: Model) -> str:
    """Say how many visitors use a model, and in which rooms."""
    holders = [
        f"{count} in {holder}" if count > 1 else holder
        for holder, count in model["holders"].items()
    ]
    return f"in use by {', '.join(holders) or 'a visitor'}"


def describe_progress(progress: Mapping[str, Any] | None) -> str:
    """Describe the progress of a load."""
    if not progress:
        return "loading"
    stage = str(progress["stage"])[:1].lower() + str(progress["stage"])[1:]
    if not progress["total"]:
        return stage
    return f"{stage} {percent(progress)}\N{NO-BREAK SPACE}% of {format_bytes(progress['total'])}"


def show_progress(spec: ModelSpec, model: Model | None) -> str:
    """Render the progress bar of a load; hidden otherwise, so that the elements stay the same."""
    if model is None or model["state"] != "loading":
        return '<div class="store-progress" hidden></div>'
    progress = model["progress"]
    known = bool(progress and progress["total"])
    value = (
        f'aria-valuenow="{percent(progress)}" style="--done: {percent(progress)}%"' if known else ""
    )
    return (
        f'<div class="store-progress{"" if known else " unknown"}" role="progressbar" '
        f'aria-label="Loading {escape(spec.title)}" {value}></div>'
    )


def show_counts(snapshot: Snapshot, queued: int = 0) -> str:
    """Render the counts since the start, and how many visitors wait."""
    figures = "".join(
        f"<div><dt>{word}</dt><dd>{snapshot[name]}</dd></div>" for name, word in COUNTS.items()
    )
    waiting = []
    if snapshot["waiters"]:
        waiting.append(f"{_visitors(snapshot['waiters'])} waiting for a model")
    if queued:
        waiting.append(f"{_visitors(queued)} in line for the machine")
    return f"<dl>{figures}</dl><p>{', '.join(waiting) or 'Nobody is waiting'}.</p>"


def explain_kept(spec: ModelSpec, snapshot: Snapshot) -> str:
    """Say why a model cannot be unloaded now, and what to do."""
    model = next((model for model in snapshot["models"] if model["key"] == spec.key), None)
    if model and model["pinned"]:
        return f"{spec.title} is always kept in memory here and cannot be unloaded."
    use = describe_use(model) if model and model["leases"] else "in use"
    return f"{spec.title} is {use}. Unload it again when that is finished."


def name_device(device: str) -> str:
    """A device's name in plain words."""
    kind, _, number = device.partition(":")
    if kind == "cuda":
        return f"Graphics card {int(number) + 1}" if number else "Graphics card"
    return {"cpu": "This computer", "mps": "Graphics memory"}.get(kind, device)


def percent(progress: Mapping[str, Any]) -> int:
    """Return how much of a known total is done, 0 to 100."""
    return min(100, int(100 * progress["done"] / progress["total"]))


def format_bytes(count: int) -> str:
    """Format a size as ``412 MB`` or ``12.0 GB`` (powers of 1000)."""
    if count >= 999_500_000:
        return f"{count / 1e9:.1f}\N{NO-BREAK SPACE}GB"
    return f"{count / 1e6:.0f}\N{NO-BREAK SPACE}MB"


def _visitors(count: int) -> str:
    return f"{count} visitor{'' if count == 1 else 's'}"
