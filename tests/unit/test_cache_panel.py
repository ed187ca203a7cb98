from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from shared.cache_panel import (
    explain_kept,
    format_bytes,
    name_device,
    show_device,
    show_panel,
    show_row,
)
from shared.catalog import SPECS, ModelSpec

STORYTELLER = next(spec for spec in SPECS if spec.key == "text/storyteller")
SMOLLM = next(spec for spec in SPECS if spec.key == "text/smollm2-135m")


def model(key: str = STORYTELLER.key, state: str = "ready", **others: Any) -> dict[str, Any]:
    return {
        "key": key,
        "state": state,
        "loaded": state in ("ready", "in use"),
        "device": "cpu",
        "bytes": 17_000_000,
        "leases": 0,
        "holders": {},
        "waiters": 0,
        "pinned": False,
        "idle_seconds": 3.0,
        "load_seconds": 0.83,
        "progress": None,
        **others,
    }


def snapshot(*models: Mapping[str, Any], **others: Any) -> dict[str, Any]:
    used = sum(model["bytes"] for model in models)
    return {
        "devices": [{"device": "cpu", "budget_bytes": 12 * 10**9, "used_bytes": used}],
        "resident_bytes": 1_234_000_000,
        "waiters": 0,
        "hits": 12,
        "loads": 3,
        "misses": 3,
        "evictions": 1,
        "failures": 0,
        "models": list(models),
        **others,
    }


class Reader(HTMLParser):
    """Collects what a page says and the attributes of its elements; fails on unclosed ones."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def describe(state: Mapping[str, Any] | None, download: int = 0) -> str:
    return Reader(show_row(STORYTELLER, state, download)).text


def test_every_model_of_the_catalogue_stands_in_its_room() -> None:
    page = Reader(show_panel(snapshot(), SPECS, {}))
    assert len(page.all("li")) == len(SPECS)
    assert [room["class"] for room in page.all("section")] == [
        "room-text",
        "room-image",
        "room-music",
        "room-latent",
    ]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (None, "about 120 MB asleep, on this computer Load"),
        (model(), "17 MB awake, loaded in 0.8 s Unload"),
        (model(state="parked"), "parked in host memory, loaded in 0.8 s Unload Load"),
        (model(pinned=True), "awake, kept in memory, loaded in 0.8 s"),
        (
            model(state="in use", leases=2, holders={"the text room": 2}),
            "in use by 2 in the text room, loaded in 0.8 s",
        ),
        (
            model(state="in use", leases=1, holders={"a visitor": 1}, waiters=3),
            "in use by a visitor, 3 waiting",
        ),
        (model(state="loading"), "loading"),
        (
            model(
                state="loading",
                waiters=2,
                progress={"stage": "Downloading", "done": 43_600_000, "total": 100_000_000},
            ),
            "downloading 43 % of 100 MB, 2 waiting",
        ),
        (
            model(state="loading", progress={"stage": "Waiting for memory", "done": 0, "total": 0}),
            "waiting for memory",
        ),
    ],
)
def test_a_row_says_what_its_model_does(state: dict[str, Any] | None, words: str) -> None:
    assert words in describe(state)


def test_a_download_is_announced() -> None:
    assert "not on this computer yet, 270 MB to download first" in describe(
        None, download=270_000_000
    )
    assert "download" not in describe(None)


def test_progress_is_a_bar_that_screen_readers_know() -> None:
    progress = {"stage": "Loading", "done": 150, "total": 100}
    [bar] = [
        element
        for element in Reader(show_row(STORYTELLER, model(state="loading", progress=progress))).all(
            "div"
        )
        if element.get("role") == "progressbar"
    ]
    assert bar["aria-label"] == "Loading Storyteller"
    assert bar["aria-valuenow"] == "100"


@pytest.mark.parametrize(
    ("state", "mine", "names"),
    [
        (None, False, ["Load Storyteller"]),
        (model(), False, ["Unload Storyteller"]),
        (model(state="parked"), False, ["Unload Storyteller", "Load Storyteller"]),
        (model(state="loading"), True, ["Cancel Storyteller"]),
        (model(state="loading"), False, []),
        (model(pinned=True), False, []),
        (model(state="in use", leases=1), False, []),
    ],
)
def test_buttons_offer_what_can_be_done(
    state: dict[str, Any] | None, mine: bool, names: list[str]
) -> None:
    buttons = Reader(show_row(STORYTELLER, state, own=mine)).all("button")
    assert [button["aria-label"] for button in buttons] == names


def test_memory_is_a_bar_with_a_segment_per_model_of_its_device() -> None:
    models = {
        STORYTELLER.key: model(bytes=3 * 10**9),
        SMOLLM.key: model(SMOLLM.key, bytes=10**9, device="cuda:0"),
    }
    device = {"device": "cpu", "budget_bytes": 12 * 10**9, "used_bytes": 3 * 10**9}
    bar = Reader(show_device(device, models, SPECS))
    segments = [element for element in bar.all("span") if "style" in element]
    assert [(segment["class"], segment["style"]) for segment in segments] == [
        ("room-text", "width: 25.00%")
    ]
    assert bar.all("div")[0]["aria-label"] == "Storyteller, 3.0\xa0GB; 9.0\xa0GB free"
    assert "3.0 GB of 12.0 GB" in bar.text


def test_more_in_memory_than_allowed_does_not_break_the_bar() -> None:
    device = {"device": "cpu", "budget_bytes": 10, "used_bytes": 40}
    bar = show_device(device, {STORYTELLER.key: model(bytes=40)}, SPECS)
    assert "width: 100.00%" in bar


def test_counts_and_waiting_visitors_are_told() -> None:
    text = Reader(show_panel(snapshot(waiters=2), SPECS, {}, queued=1)).text
    assert "found awake 12 found asleep 3 sent to sleep 1 failed 0" in text
    assert "2 visitors waiting for a model, 1 visitor in line for the machine." in text
    assert "Nobody is waiting." in Reader(show_panel(snapshot(), SPECS, {})).text
    assert "The whole program takes 1.2 GB." in text
    assert "program" not in show_panel(snapshot(resident_bytes=None), SPECS, {})


def test_time_passing_changes_nothing() -> None:
    """Or an open drawer would be sent again every second."""
    before, after = (
        show_panel(snapshot(model(idle_seconds=idle)), SPECS, {}) for idle in (1.0, 99.0)
    )
    assert before == after


def test_nothing_that_others_wrote_becomes_markup() -> None:
    evil = '<img src=x onerror="alert(1)">'
    spec = ModelSpec(
        key=f"text/{evil}",
        title=evil,
        licence="",
        parameters=1,
        summary="",
        load=lambda *_: None,
        sources=(),
    )
    states = [
        None,
        model(spec.key, state="in use", leases=1, holders={evil: 1}),
        model(spec.key, state="loading", progress={"stage": evil, "done": 1, "total": 2}),
    ]
    for state in states:
        shown = snapshot(*([state] if state else []))
        shown["devices"][0]["device"] = evil
        page = Reader(show_panel(shown, [spec], {}, {spec.key}))
        assert not page.all("img")
        assert evil in page.text


def test_a_model_that_stays_is_explained() -> None:
    used = snapshot(model(state="in use", leases=1, holders={"the text room": 1}))
    assert explain_kept(STORYTELLER, used) == (
        "Storyteller is in use by the text room. Unload it again when that is finished."
    )
    assert "always kept" in explain_kept(STORYTELLER, snapshot(model(pinned=True)))


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 MB"), (412_300_000, "412 MB"), (999_600_000, "1.0 GB"), (12_000_000_000, "12.0 GB")],
)
def test_sizes_are_written_for_people(count: int, text: str) -> None:
    assert format_bytes(count).replace("\xa0", " ") == text


def test_devices_have_plain_names() -> None:
    names = [name_device(device) for device in ("cpu", "cuda:1", "cuda", "mps", "xpu:0")]
    assert names == [
        "This computer",
        "Graphics card 2",
        "Graphics card",
        "Graphics memory",
        "xpu:0",
    ]
