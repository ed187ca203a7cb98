"""What a visitor does in the tab Draw: draw, look inside, type along, click a monster together."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from shared.critters.vocabulary import read_worlds
from shared.recipe_files import read_recipe
from shared.settings import ROOT
from tests.browser.conftest import LONG, enter_tab

MODEL = ROOT / "models" / "image-critters"
PROMPT = re.compile("Describe a ")
SEEN = re.compile(r"seed \d+")


@pytest.fixture
def room(desktop: Page) -> Locator:
    return enter_tab(desktop, "Images", "Draw")


def draw(room: Locator, prompt: str = "") -> None:
    """Press Draw and wait until the picture is finished."""
    if prompt:
        room.get_by_label(PROMPT).fill(prompt)
    room.get_by_role("button", name="Draw", exact=True).click()
    expect(room.get_by_role("button", name="Stop").first).to_be_visible()
    expect(room.get_by_role("button", name="Draw", exact=True)).to_be_visible(timeout=LONG)


def look_inside(room: Locator) -> Locator:
    room.get_by_role("button", name="Look inside").click()
    return room.locator(".diffusion-film")


def source(image: Locator) -> str:
    return str(image.get_attribute("src"))


def read(address: str) -> np.ndarray:
    """The pixels of a picture in a data URL."""
    file = io.BytesIO(base64.b64decode(address.partition(",")[2]))
    return np.asarray(Image.open(file).convert("RGB"), dtype=int)


@pytest.mark.phone
def test_a_saved_picture_has_its_recipe_in_it(page: Page) -> None:
    room = enter_tab(page, "Images", "Draw")
    draw(room, "a red monster with one eye")
    with page.expect_download() as download:
        room.get_by_role("link", name="Save PNG").click()
    recipe = read_recipe(Path(download.value.path()))
    assert recipe
    assert download.value.suggested_filename == f"critters-seed-{recipe['seed']}.png"
    assert recipe["settings"]["prompt"] == "a red monster with one eye"
    assert f"seed {recipe['seed']}" in room.locator(".exhibit .caption").first.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_the_film_shows_every_step_and_ends_with_the_picture(room: Locator) -> None:
    draw(room)
    film = look_inside(room)
    slider = film.get_by_label("Step", exact=True)
    expect(film.locator(".film-step")).to_contain_text("Done", timeout=LONG)
    steps = int(str(slider.get_attribute("max")))
    expect(film.locator(".film-strip button")).to_have_count(steps + 1)
    noisy, clean = (film.locator(f"[data-view={view}]") for view in ("noisy", "clean"))
    at_the_end = source(noisy)
    assert source(clean) == at_the_end
    slider.focus()
    slider.press("Home")
    expect(film.locator(".film-step")).to_contain_text("Pure noise")
    expect(noisy.locator("xpath=..")).to_contain_text("100 % noise")
    expect(noisy.locator("xpath=..")).not_to_contain_text("roughly", timeout=LONG)
    assert source(noisy) != source(clean) != at_the_end
    film.locator(".film-strip button").last.click()
    expect(noisy).to_have_attribute("src", at_the_end)


def test_the_first_visit_has_a_film_to_look_at(room: Locator) -> None:
    film = look_inside(room)
    expect(film.locator(".film-strip button").nth(3)).to_be_visible(timeout=LONG)
    film.get_by_role("button", name="Play").click()
    expect(film.locator(".film-step")).to_contain_text("Done", timeout=LONG)


def test_words_paint_places(room: Locator) -> None:
    draw(room, "a blue monster with horns")
    look_inside(room)
    room.get_by_role("button", name="Show which words paint what").click()
    expect(room.locator(".attention figure")).to_have_count(5, timeout=LONG)
    expect(room.locator(".attention")).to_contain_text("horns")


def test_nine_pictures_differ_and_each_can_be_drawn_again(room: Locator) -> None:
    room.get_by_label("number input for Pictures").fill("9")
    draw(room)
    pictures = room.locator(".pictures figure")
    expect(pictures).to_have_count(9, timeout=LONG)
    sources = [source(image) for image in pictures.locator("img").all()]
    assert len(set(sources)) == 9
    seed = SEEN.search(pictures.nth(4).inner_text())
    assert seed
    room.get_by_label("number input for Pictures").fill("1")
    room.get_by_label("Seed").fill(seed.group().removeprefix("seed "))
    draw(room)
    expect(pictures).to_have_count(1)
    alone = read(source(pictures.locator("img")))
    assert np.abs(alone - read(sources[4])).max() <= 2  # in a batch, sums are rounded otherwise


def test_the_picture_follows_the_words_while_one_types(room: Locator) -> None:
    room.get_by_label("Draw while I type").check()
    caption = room.locator(".exhibit .caption").first
    expect(caption).to_contain_text("live", timeout=LONG)
    before = source(room.locator(".pictures img"))
    prompt = room.get_by_label(PROMPT)
    prompt.press("End")
    prompt.press_sequentially(" and wings")
    expect(caption).to_contain_text("Not in its vocabulary: wings", timeout=LONG)
    expect(room.locator(".pictures img")).not_to_have_attribute("src", before)
    film = look_inside(room)
    expect(film.locator(".film-step")).to_contain_text("Press Draw for one", timeout=LONG)


def test_without_words_the_live_picture_stays_and_says_why(room: Locator) -> None:
    room.get_by_label("Draw while I type").check()
    caption = room.locator(".exhibit .caption").first
    expect(caption).to_contain_text("live", timeout=LONG)
    shown = source(room.locator(".pictures img"))
    prompt = room.get_by_label(PROMPT)
    prompt.fill("")
    expect(caption).to_contain_text("waits for words", timeout=LONG)
    assert source(room.locator(".pictures img")) == shown
    room.get_by_role("button", name="a tall green alien, peach background").click()
    expect(caption).to_contain_text("live", timeout=LONG)
    expect(room.locator(".pictures img")).not_to_have_attribute("src", shown)


@pytest.mark.phone
def test_no_tab_of_the_room_is_hidden_in_a_menu(page: Page) -> None:
    enter_tab(page, "Images", "Draw")
    for name in ("Change", "Compare", "Between", "Parts", "Train one"):
        expect(page.get_by_role("tab", name=name, exact=True).first).to_be_visible(timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_monster_is_clicked_together(room: Locator) -> None:
    room.get_by_role("button", name="Put one together by clicking").click()
    for part, value in (("Colour", "pink"), ("Eyes", "one eye"), ("On top", "crown")):
        group = room.get_by_role("group", name=part, exact=True)
        group.get_by_role("button", name=value, exact=True).click()
    prompt = room.get_by_label(PROMPT)
    expect(prompt).to_have_value("a pink monster with one eye and a crown", timeout=LONG)
    group.get_by_role("button", name="crown", exact=True).click()  # lets go of it
    expect(prompt).to_have_value("a pink monster with one eye", timeout=LONG)
    prompt.fill("my own words")  # which a click only adds to
    group.get_by_role("button", name="horns", exact=True).click()
    expect(prompt).to_have_value("my own words, a monster with horns", timeout=LONG)


@pytest.mark.phone
def test_worlds_that_the_model_draws_are_clicked_together(page: Page) -> None:
    room = enter_tab(page, "Images", "Draw")
    room.get_by_role("button", name="Put one together by clicking").click()
    prompt = room.get_by_label(PROMPT)
    sentences = {
        "sprouts": ("Potted plant", "Plant", "cactus", "a pot with a cactus"),
        "critters": ("Monster", "On top", "crown", "a monster with a crown"),
    }
    drawn = read_worlds(MODEL)
    for name, (world, part, value, sentence) in sentences.items():
        choice = room.get_by_role("radio", name=world)
        if name not in drawn:
            expect(choice).to_have_count(0)
            continue
        if len(drawn) > 1:
            choice.check()
        group = room.get_by_role("group", name=part, exact=True)
        group.get_by_role("button", name=value, exact=True).click()
        expect(prompt).to_have_value(sentence, timeout=LONG)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("   ", "The prompt is empty. Write a few words first."),
        ("a monster with <img src=x onerror=alert(1)>", "Not in its vocabulary"),
        ("horns " * 100, "Too long: not read from"),
    ],
)
def test_strange_prompts_are_answered_plainly(room: Locator, prompt: str, message: str) -> None:
    room.get_by_label(PROMPT).fill(prompt)
    room.get_by_role("button", name="Draw", exact=True).click()
    expect(room.get_by_text(message).first).to_be_visible(timeout=LONG)
    expect(room.get_by_role("button", name="Draw", exact=True)).to_be_visible(timeout=LONG)
    draw(room, "a blue monster")


def test_a_stopped_drawing_leaves_what_there_is(room: Locator) -> None:
    room.get_by_label("number input for Steps").fill("50")
    room.get_by_label("number input for Pictures").fill("9")
    room.get_by_role("button", name="Draw", exact=True).click()
    caption = room.locator(".exhibit .caption").first
    expect(caption).to_have_text(re.compile(r"step \d+ of 50"), timeout=LONG)
    room.get_by_role("button", name="Stop").first.click()
    expect(caption).to_have_text(re.compile("stopped"), timeout=LONG)
    expect(room.locator(".pictures figure")).to_have_count(9)


def test_the_recipe_is_shown(room: Locator) -> None:
    draw(room)
    look_inside(room)
    room.get_by_role("button", name="Recipe: the same recipe").click()
    expect(room.get_by_text('"image/critters"').first).to_be_visible(timeout=LONG)
