"""What a visitor does under Explore: drag, draw seeds, follow directions, walk about the map."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from safetensors.numpy import load_file, save_file

from demos.latent.directions import read_directions
from demos.latent.generate import PairRequest, compute_z, draw_z, sample
from demos.latent.models import lease_pair
from shared.catalog import Catalog, GalleryLoader
from shared.model_cache import ModelCache
from shared.room import Room
from shared.settings import ROOT, Settings
from tests.browser.conftest import SIZES, OpenPage
from tests.conftest import run_app

LONG = 120_000  # milliseconds; the first use of a room imports its libraries
Pictures = list[np.ndarray]


def enter(page: Page) -> Locator:
    """Open the tab and wait until something can be dragged."""
    page.set_default_timeout(LONG)
    page.get_by_role("tab", name="Latent").click()
    explorer = page.locator(".explorer")
    expect(explorer).to_have_attribute("data-draws", "browser", timeout=LONG)
    wait_for_update(page, 0)
    return explorer


def caption(explorer: Locator) -> Locator:
    """What stands under the pair."""
    return explorer.locator(".explorer-exhibit > .explorer-caption")


def updates(page: Page) -> int:
    return int(page.locator(".explorer").get_attribute("data-updates") or 0)


def wait_for_update(page: Page, before: int) -> None:
    page.wait_for_function(
        "before => document.querySelector('.explorer').dataset.updates > before", arg=before
    )


def look(page: Page) -> Pictures:
    """The pair that is shown, VAE first: (64, 64, 3) each."""
    urls = page.locator(".explorer-pair canvas").evaluate_all(
        "all => all.map(canvas => canvas.toDataURL())"
    )
    data = [base64.b64decode(url.partition(",")[2]) for url in urls]
    return [np.asarray(Image.open(io.BytesIO(one)).convert("RGB"), dtype=int) for one in data]


def assert_both_change(before: Pictures, after: Pictures) -> None:
    for old, new in zip(before, after, strict=True):
        assert np.abs(new - old).max() > 20


def drag(page: Page, slider: Locator, share: float) -> None:
    """Take a slider at its middle and pull it, in steps, to ``share`` of its length."""
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    assert box
    height = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, height)
    page.mouse.down()
    page.mouse.move(box["x"] + share * box["width"], height, steps=8)
    page.mouse.up()


def read_recipe(page: Page) -> dict[str, Any]:
    """Open what is inside and wait for the recipe."""
    page.locator(".explorer-inside summary").click()
    expect(page.get_by_label("Recipe")).to_contain_text("settings", timeout=LONG)
    recipe: dict[str, Any] = json.loads(page.get_by_label("Recipe").inner_text())
    return recipe


@pytest.fixture
def desktop(open_page: OpenPage, app_url: str) -> Iterator[Page]:
    with open_page(app_url) as page:
        yield page


def test_nothing_is_fetched_before_somebody_looks(desktop: Page) -> None:
    asked: list[str] = []
    desktop.on("request", lambda request: asked.append(request.url))
    desktop.reload()
    expect(desktop.get_by_role("tab", name="Latent")).to_be_visible(timeout=LONG)
    assert not [url for url in asked if "weights/" in url or ".wasm" in url]
    enter(desktop)
    assert [url for url in asked if url.endswith("critters-gan/model.safetensors")]


@pytest.mark.phone
def test_both_pictures_follow_a_dragged_slider(page: Page) -> None:
    explorer = enter(page)
    before, count = look(page), updates(page)
    drag(page, explorer.get_by_label("Truncation", exact=True), 0.1)
    wait_for_update(page, count + 1)  # it did not wait for the end
    assert_both_change(before, look(page))
    expect(caption(explorer)).to_contain_text("truncation 0.")


def test_a_bar_is_dragged_with_the_mouse_and_with_the_keyboard(desktop: Page) -> None:
    explorer = enter(desktop)
    bar = explorer.get_by_role("slider", name="Number 5 of 64")
    bar.scroll_into_view_if_needed()
    box = bar.bounding_box()
    assert box
    desktop.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    desktop.mouse.down()
    desktop.mouse.move(box["x"] + 40, box["y"] + 2, steps=4)  # stays with the bar it took
    desktop.mouse.up()
    assert float(bar.get_attribute("aria-valuenow") or 0) > 3.5
    expect(bar).to_be_focused()

    desktop.keyboard.press("PageDown")
    desktop.keyboard.press("ArrowDown")
    assert float(bar.get_attribute("aria-valuenow") or 0) < 3
    desktop.keyboard.press("ArrowRight")
    expect(explorer.get_by_role("slider", name="Number 6 of 64")).to_be_focused()
    expect(caption(explorer)).to_contain_text("changed by hand")

    back = explorer.get_by_role("button", name="As the seed drew them")
    back.click()
    expect(back).to_be_disabled()


def test_a_seed_is_drawn_and_a_bad_one_explained(desktop: Page) -> None:
    explorer = enter(desktop)
    before, count = look(desktop), updates(desktop)
    seed = explorer.get_by_label("Seed")
    seed.fill("11")
    seed.press("Enter")
    expect(caption(explorer)).to_contain_text("Seed 11 ·", timeout=LONG)
    wait_for_update(desktop, count)
    assert_both_change(before, look(desktop))

    alert = explorer.get_by_role("alert")
    for text, words in [
        ("-5", "at least -1"),
        ("99999999999", "at most 2147483647"),
        ("seven", "whole number"),
        ("", "whole number"),
    ]:
        seed.fill(text)
        seed.press("Enter")
        expect(alert).to_contain_text(words, timeout=LONG)
    expect(caption(explorer)).to_contain_text("Seed 11 ·")

    explorer.get_by_role("button", name="New pair").click()
    expect(alert).to_be_hidden(timeout=LONG)
    expect(caption(explorer)).not_to_contain_text("Seed 11 ·")


def test_a_direction_moves_each_model_along_its_own(desktop: Page) -> None:
    explorer = enter(desktop)
    before = look(desktop)
    explorer.get_by_label("Background: which").select_option("black")
    drag(desktop, explorer.get_by_label("Background, black"), 0.95)
    expect(explorer.get_by_text("The two z are no longer the same")).to_be_visible()
    assert_both_change(before, look(desktop))

    explorer.get_by_role("button", name="Back to 0").click()
    expect(explorer.get_by_text("The two z are no longer the same")).to_be_hidden()
    expect(explorer.get_by_label("Background, black")).to_have_value("0")


@pytest.mark.phone
def test_a_click_on_the_map_goes_there(page: Page) -> None:
    explorer = enter(page)
    tile = explorer.get_by_role("group", name="Map of the VAE")
    tile.scroll_into_view_if_needed()
    expect(explorer.get_by_role("region", name="Map")).to_have_attribute(
        "data-filled", "yes", timeout=LONG
    )
    cell = tile.get_by_role("button").first
    expected = cell.locator("canvas").evaluate("canvas => canvas.toDataURL()")
    before, count = look(page), updates(page)
    cell.click()
    wait_for_update(page, count)
    assert_both_change(before, look(page))
    shown = page.locator(".explorer-pair canvas").first.evaluate("canvas => canvas.toDataURL()")
    assert shown == expected
    expect(cell).to_have_attribute("aria-current", "location")
    expect(caption(explorer)).to_contain_text("on the map at")

    explorer.get_by_role("button", name="Zoom in").click()
    expect(tile.locator("[aria-current]")).to_have_attribute("aria-label", page_label(tile))
    expect(explorer.get_by_role("button", name="Zoom out")).to_be_enabled()


def page_label(tile: Locator) -> str:
    """The label of the middle cell."""
    buttons = tile.get_by_role("button")
    return buttons.nth(buttons.count() // 2).get_attribute("aria-label") or ""


def test_the_map_goes_through_seeds_and_is_walked_with_the_keyboard(desktop: Page) -> None:
    explorer = enter(desktop)
    tile = explorer.get_by_role("group", name="Map of the GAN")
    tile.scroll_into_view_if_needed()
    explorer.get_by_label("The map's plane").select_option("three seeds")
    seeds = tile.get_by_role("button", name="seed")
    expect(seeds).to_have_count(3, timeout=LONG)

    tile.get_by_role("button").nth(40).focus()
    count = updates(desktop)
    for key in ("ArrowLeft", "ArrowUp", "Enter"):
        desktop.keyboard.press(key)
    expect(tile.get_by_role("button").nth(30)).to_be_focused()
    expect(tile.get_by_role("button").nth(30)).to_have_attribute("aria-current", "location")
    wait_for_update(desktop, count)


def test_the_principal_map_moves_the_principal_sliders(desktop: Page) -> None:
    explorer = enter(desktop)
    explorer.get_by_text("Directions that nobody named").click()
    explorer.get_by_label("The map's plane").select_option(
        "the two strongest directions of each network"
    )
    tile = explorer.get_by_role("group", name="Map of the VAE")
    tile.get_by_role("button").last.click()
    expect(explorer.get_by_label("Principal 1")).to_have_value("5")
    expect(explorer.get_by_label("Principal 2")).to_have_value("-5")


def test_a_sum_of_critters_can_be_kept(desktop: Page) -> None:
    explorer = enter(desktop)
    sums = explorer.get_by_role("region", name="Latent arithmetic")
    sums.scroll_into_view_if_needed()
    sums.get_by_label("What to add").select_option("top:horns")
    for model in ("VAE", "GAN"):
        expect(sums.get_by_role("img", name=f"{model}: with horns")).to_be_visible(timeout=LONG)
    total = sums.get_by_role("img", name="VAE: the sum")
    expected = total.evaluate("canvas => canvas.toDataURL()")
    count = updates(desktop)
    sums.get_by_role("button", name="Keep the sum").click()
    wait_for_update(desktop, count)
    expect(explorer.get_by_label("On its head, horns")).to_have_value("2")
    shown = desktop.locator(".explorer-pair canvas").first.evaluate("canvas => canvas.toDataURL()")
    assert shown == expected


def test_the_recipe_gives_the_same_pair_in_python(desktop: Page) -> None:
    explorer = enter(desktop)
    drag(desktop, explorer.get_by_label("Truncation", exact=True), 0.4)
    drag(desktop, explorer.get_by_label("Body colour, red"), 0.9)
    explorer.get_by_role("slider", name="Number 9 of 64").press("PageUp")
    recipe = read_recipe(desktop)
    shown = look(desktop)

    settings = Settings()
    catalog = Catalog(settings)
    room = Room("latent", ModelCache(10**9, GalleryLoader(catalog)), catalog)
    names = recipe["settings"].pop("models")
    request = PairRequest.parse(seed=recipe["seed"], **recipe["settings"])
    folders = [ROOT / "models" / name.replace("/", "-") for name in names]
    vae_directions, gan_directions = map(read_directions, folders)
    with lease_pair(room, request.dataset) as (vae, gan):
        pair = sample(vae, gan, request, (vae_directions, gan_directions))
    assert request.point
    assert request.attributes
    for picture, again in zip(shown, (pair.vae, pair.gan), strict=True):
        assert np.abs(picture - np.asarray(again, dtype=int)).max() <= 2


def test_page_and_python_find_the_same_z(desktop: Page) -> None:
    seeds = range(5)
    requests = [
        PairRequest.parse(
            seed=seed,
            truncation=0.4 * seed,
            point=draw_z(seed + 50, 64).tolist() if seed % 2 else [],
            attributes={"color": {"red": 1.5, "blue": -0.35}, "eyes": {"one eye": 0.1 * seed}},
            principal=[0.5, 0, -6, 0.05 * seed],
        )
        for seed in seeds
    ]
    folders = [ROOT / "models" / f"latent-critters-{name}" for name in ("vae", "gan")]
    first, second = map(read_directions, folders)
    for seed, request in zip(seeds, requests, strict=True):
        found = desktop.evaluate(
            """async ([request, drawn]) => {
                const at = (path) => new URL(path, document.baseURI);
                const { computeZ } = await import(at("rooms/latent/vectors.js"));
                const read = async (name) =>
                    (await fetch(at(`weights/latent/critters-${name}/directions.json`))).json();
                const directions = { vae: await read("vae"), gan: await read("gan") };
                return Object.values(computeZ(request, drawn, directions)).map((z) => [...z]);
            }""",
            [request.model_dump(mode="json"), draw_z(seed, 64).tolist()],
        )
        np.testing.assert_allclose(found, np.stack(compute_z(request, (first, second))), atol=1e-5)


def test_where_the_browser_cannot_draw_the_server_does(browser: Browser, app_url: str) -> None:
    width, height = SIZES["desktop"]
    page = browser.new_page(viewport={"width": width, "height": height})
    page.set_default_timeout(LONG)
    page.route("**/*.wasm", lambda route: route.abort())
    page.goto(app_url)
    page.get_by_role("tab", name="Latent").click()
    explorer = page.locator(".explorer")
    expect(explorer).to_have_attribute("data-draws", "server", timeout=LONG)
    expect(explorer.get_by_text("the server draws")).to_be_visible()
    wait_for_update(page, 0)
    before, count = look(page), updates(page)
    drag(page, explorer.get_by_label("Truncation", exact=True), 0.1)
    wait_for_update(page, count)
    assert_both_change(before, look(page))

    explorer.get_by_role("region", name="Map").scroll_into_view_if_needed()
    expect(explorer.get_by_role("region", name="Map")).to_have_attribute(
        "data-filled", "yes", timeout=LONG
    )
    page.close()


def test_another_dataset_brings_its_own_models(open_page: OpenPage, tmp_path: Path) -> None:
    folders = {}
    for name, model in (("vae", "gan"), ("gan", "vae")):  # so that they draw something else
        folders[name] = tmp_path / name
        folders[name].mkdir()
        source = ROOT / "models" / f"latent-critters-{model}"
        weights = load_file(source / "model.safetensors")
        if model == "vae":
            kept = {key: value for key, value in weights.items() if key.startswith("decoder.")}
            weights = {key.removeprefix("decoder."): value for key, value in kept.items()}
        else:
            vae = load_file(ROOT / "models" / "latent-critters-vae" / "model.safetensors")
            weights = vae | {f"decoder.{key}": value for key, value in weights.items()}
        save_file(weights, folders[name] / "model.safetensors")
        config = ROOT / "models" / f"latent-critters-{name}" / "config.json"
        shutil.copy(config, folders[name])
    twins = ";".join(f"latent/twins-{name}={folder}" for name, folder in folders.items())
    with (
        run_app(tmp_path / "log.txt", GALLERY_LOCAL_MODELS=twins) as url,
        open_page(url) as page,
    ):
        explorer = enter(page)
        expect(explorer.get_by_role("heading", name="Directions")).to_be_visible()
        first, second, count = *look(page), updates(page)
        explorer.get_by_label("Trained on").select_option("twins")
        expect(explorer.get_by_text("Nobody has looked for directions")).to_be_visible(timeout=LONG)
        wait_for_update(page, count)
        for before, after in zip((second, first), look(page), strict=True):
            assert np.abs(after - before).max() <= 2
        expect(explorer.get_by_role("heading", name="Directions")).to_be_hidden()
        assert read_recipe(page)["settings"]["dataset"] == "twins"


def test_a_phone_needs_no_sideways_scrolling(open_page: OpenPage, app_url: str) -> None:
    with open_page(app_url, "phone") as page:
        explorer = enter(page)
        for part in ("Map", "Latent arithmetic"):
            explorer.get_by_role("region", name=part).scroll_into_view_if_needed()
        assert page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
        drag(page, explorer.get_by_label("Truncation", exact=True), 0.3)
        assert explorer.locator(".explorer-pair").bounding_box()["y"] >= 0  # type: ignore[index]
