"""What a visitor does in the tab Change of the image room."""

from __future__ import annotations

import base64
import io
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from shared.recipe_files import CHANGED, read_recipe
from tests.browser.conftest import enter_tab

LONG = 120_000  # milliseconds; the first use of a room imports its libraries


@pytest.fixture
def room(page: Page) -> Locator:
    """The tab, freshly opened."""
    room = enter_tab(page, "Images", "Change")
    expect(room.locator(".pad canvas").last).to_be_visible()
    page.wait_for_function("document.querySelector('.pad').pad?.take()[0]")
    return room


def stroke(room: Locator, *places: tuple[float, float]) -> None:
    """Draw a line through places, as shares of the pad's width and height."""
    pad = room.locator(".pad canvas").last
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    mouse = room.page.mouse
    for number, (x, y) in enumerate(places):
        mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
        if not number:
            mouse.down()
    mouse.up()


def run(room: Locator, seed: int = 1) -> None:
    """Press Change and wait for the result; ``seed`` must be another one than before."""
    room.get_by_label("Seed").fill(str(seed))
    room.get_by_role("button", name="Change", exact=True).click()
    done = re.compile(rf"\d steps?\W+seed {seed}\b")
    expect(room.locator(".exhibit .caption").last).to_contain_text(done, timeout=LONG)
    expect(room.get_by_role("button", name="Download PNG")).to_be_enabled(timeout=LONG)
    expect(room.get_by_role("button", name="Change", exact=True)).to_be_visible(timeout=LONG)


def on_pad(room: Locator) -> str:
    """The picture on the pad, without what is painted on it."""
    return str(room.locator(".pad canvas").first.evaluate("canvas => canvas.toDataURL()"))


def wait_for_another(room: Locator, before: str) -> None:
    """Wait until another picture is on the pad."""
    changed = "before => document.querySelector('.pad canvas').toDataURL() !== before"
    room.page.wait_for_function(changed, arg=before)


def shown(room: Locator) -> list[np.ndarray]:
    """Before and after, as (H, W, 3) int."""
    urls = room.locator(".pair img").evaluate_all("all => all.map(one => one.src)")
    files = [io.BytesIO(base64.b64decode(url.split(",")[1])) for url in urls]
    return [np.asarray(Image.open(file).convert("RGB")).astype(int) for file in files]


@pytest.mark.phone
def test_a_drawing_is_changed_and_kept_with_its_recipe(page: Page, room: Locator) -> None:
    expect(room.locator(".caption")).to_contain_text([re.compile("A finished example")])
    room.get_by_role("button", name="red", exact=True).click()
    room.get_by_role("button", name="thick").click()
    stroke(room, (0.3, 0.8), (0.7, 0.8))
    run(room)
    before, after = shown(room)
    assert before.shape == after.shape
    middle = before[int(0.8 * len(before)), len(before) // 2]
    assert abs(middle - [239, 68, 68]).max() < 12, "what was drawn is what was changed"
    assert abs(before - after).mean() > 2
    with page.expect_download() as download:
        room.get_by_role("button", name="Download PNG").click()
    path = Path(download.value.path())
    recipe = read_recipe(path)
    assert recipe
    assert recipe["settings"]["strength"] == 0.6
    assert CHANGED.encode() in path.read_bytes()
    drawn = on_pad(room)
    room.get_by_role("button", name="Go on from this result").click()
    wait_for_another(room, drawn)
    run(room, seed=2)
    assert (shown(room)[0] == after).all(), "the result is the next start"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_marked_part_is_replaced_and_the_rest_stays(room: Locator) -> None:
    room.get_by_label("Replace a part").check()
    room.get_by_role("button", name="Change", exact=True).click()
    expect(room.get_by_role("alert").filter(visible=True)).to_contain_text("Nothing is marked")
    expect(room.locator(".pad-hint")).to_be_visible()
    room.get_by_role("button", name="thick").click()
    stroke(room, (0.2, 0.2), (0.8, 0.2))
    run(room)
    expect(room.locator(".caption").last).to_contain_text("strength 0.9")
    before, after = shown(room)
    half = len(before) // 2
    assert (before[half:] == after[half:]).all()
    assert (before[:half] != after[:half]).any()
    with room.page.expect_download() as download:
        room.get_by_role("button", name="Download PNG").click()
    assert download.value.suggested_filename == "critters-changed-seed-1.png"
    recipe = read_recipe(Path(download.value.path()))
    assert recipe
    assert recipe["settings"]["changed"] == "part"
    assert 0 < recipe["settings"]["part_share"] < 0.5
    expect(room.get_by_role("alert").filter(visible=True)).to_have_count(0)


def test_bad_uploads_are_explained_and_the_next_run_works(room: Locator, tmp_path: Path) -> None:
    (tmp_path / "note.png").write_text("I am not a picture.")
    Image.effect_noise((90, 90), 50).save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:900])
    Image.new("RGB", (3, 300)).save(tmp_path / "thin.png")
    (tmp_path / "bomb.png").write_bytes(bomb(20_000, 20_000))
    for name, words in [
        ("note", "cannot be read as a picture"),
        ("cut", "damaged or cut short"),
        ("thin", "too small: 3 × 300"),
        ("bomb", "more than 50 million pixels"),
    ]:
        room.locator("input[type=file]").first.set_input_files(tmp_path / f"{name}.png")
        expect(room.get_by_role("alert").filter(visible=True)).to_contain_text(words)
    run(room)
    expect(room.get_by_role("alert").filter(visible=True)).to_have_count(0)
    Image.new("RGB", (300, 200), (10, 200, 30)).save(tmp_path / "green.jpg", quality=100)
    drawn = on_pad(room)
    room.locator("input[type=file]").first.set_input_files(tmp_path / "green.jpg")
    wait_for_another(room, drawn)
    run(room, seed=2)
    assert abs(shown(room)[0] - [10, 200, 30]).max() < 4


def bomb(width: int, height: int) -> bytes:
    """A small PNG file that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)

    head = width.to_bytes(4) + height.to_bytes(4) + bytes([8, 2, 0, 0, 0])
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def test_an_empty_pad_and_an_empty_prompt_are_explained_and_undo_brings_it_back(
    room: Locator,
) -> None:
    example = [picture.tolist() for picture in shown(room)]
    room.get_by_role("button", name="Clear").click()
    room.get_by_role("button", name="Change", exact=True).click()
    expect(room.get_by_role("alert").filter(visible=True)).to_contain_text("no picture yet")
    room.get_by_role("button", name="Undo").click()
    prompt = room.get_by_label("What it should become")
    words = prompt.input_value()
    prompt.fill("")
    room.get_by_role("button", name="Change", exact=True).click()
    expect(room.locator(".failed").get_by_text("The prompt is empty")).to_be_visible()
    assert [picture.tolist() for picture in shown(room)] == example
    prompt.fill(words)
    run(room)
