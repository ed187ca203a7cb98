"""What a visitor does in the playground: train, step, paint, fail on purpose, overdo it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SIZES, OpenPage, enter_latent

LONG = 120_000  # milliseconds; a busy machine trains slowly


@contextmanager
def opened(open_page: OpenPage, app_url: str, size: str = "desktop") -> Iterator[Page]:
    with open_page(app_url, size) as page:
        enter_latent(page, "Playground")
        expect(button(page, "Play")).to_be_enabled(timeout=LONG)
        yield page


@pytest.fixture
def playground(open_page: OpenPage, app_url: str) -> Iterator[Page]:
    with opened(open_page, app_url) as page:
        yield page


def button(page: Page, name: str) -> Locator:
    return page.locator(".playground").get_by_role("button", name=name, exact=True)


def message(page: Page) -> Locator:
    return page.locator(".playground-message")


def count(page: Page) -> Locator:
    return page.locator(".playground-count")


def told(page: Page, name: str) -> float:
    """A figure that the playground tells about itself."""
    return float(page.locator(".playground").get_attribute(f"data-{name}") or "nan")


def wait_for_steps(page: Page, steps: int) -> None:
    page.wait_for_function(
        "steps => Number(document.querySelector('.playground').dataset.steps) >= steps",
        arg=steps,
        timeout=LONG,
    )


def picture(page: Page, model: str) -> str:
    plane = page.locator(f"figure[data-model={model}] .playground-plane")
    return str(plane.evaluate("canvas => canvas.toDataURL()"))


def shape(page: Page, name: str) -> Locator:
    return page.get_by_role("radiogroup", name="What they shall learn").get_by_label(name)


def set_slider(page: Page, label: str, stop: int) -> Locator:
    slider = page.get_by_role("slider", name=label, exact=True)
    slider.fill(str(stop))
    return slider


def test_nothing_is_trained_before_play_is_pressed(playground: Page) -> None:
    expect(message(playground)).to_contain_text("Press Play")
    expect(count(playground)).to_have_text("0 steps")
    for model in ("vae", "gan"):  # the pictures show what there is
        expect(playground.locator(f"figure[data-model={model}]")).to_contain_text("of 9 heaps")
    assert told(playground, "steps") == 0


def test_two_hundred_steps_move_losses_and_points(playground: Page) -> None:
    for part in ("VAE", "discriminator", "generator"):
        button(playground, f"One step of the {part}").click()
    expect(count(playground)).to_have_text("1 step")
    expect(playground.locator(".playground")).to_have_attribute("data-loss-gan", re.compile(r"\d"))
    losses = {name: told(playground, f"loss-{name}") for name in ("vae", "gan")}
    pictures = {name: picture(playground, name) for name in ("vae", "gan")}
    button(playground, "Play").click()
    wait_for_steps(playground, 200)
    button(playground, "Pause").click()
    expect(button(playground, "Play")).to_be_visible()
    assert told(playground, "loss-vae") < losses["vae"] / 2
    assert told(playground, "loss-gan") != losses["gan"]
    for model, before in pictures.items():
        assert picture(playground, model) != before


def test_a_single_step_moves_only_its_own_network(playground: Page) -> None:
    for toggle in ("Discriminator's map", "Gradients"):
        playground.get_by_label(toggle).uncheck()
    expect(playground.get_by_label("Gradients")).not_to_be_checked()
    before = {name: picture(playground, name) for name in ("vae", "gan")}
    button(playground, "One step of the generator").click()
    expect(count(playground)).to_contain_text("VAE 0, generator 1, discriminator 0")
    after = {name: picture(playground, name) for name in ("vae", "gan")}
    assert after["gan"] != before["gan"]
    assert after["vae"] == before["vae"]
    button(playground, "One step of the discriminator").click()
    expect(count(playground)).to_contain_text("VAE 0, generator 1, discriminator 1")
    assert picture(playground, "gan") == after["gan"]


def test_an_empty_painting_is_explained_and_a_painted_one_is_learned(playground: Page) -> None:
    shape(playground, "Your own").check(force=True)
    expect(message(playground)).to_contain_text("Your painting is empty")
    button(playground, "Play").click()
    expect(message(playground)).to_contain_text("Your painting is empty")
    expect(button(playground, "Play")).to_be_visible()
    pad = playground.locator(".playground-paint")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box
    playground.mouse.move(box["x"] + 40, box["y"] + 40)
    playground.mouse.down()
    playground.mouse.move(box["x"] + box["width"] - 40, box["y"] + 90, steps=4)
    playground.mouse.up()
    button(playground, "Play").click()
    wait_for_steps(playground, 5)
    button(playground, "Clear").click()
    expect(message(playground)).to_contain_text("Your painting is empty")
    expect(button(playground, "Play")).to_be_visible()


def test_a_painting_can_be_made_and_erased_with_keys(playground: Page) -> None:
    shape(playground, "Your own").check(force=True)
    pad = playground.get_by_role("application", name="Painting")
    pad.focus()
    for key in ("ArrowLeft", "ArrowLeft", "Space", "Shift+ArrowUp", "Shift+ArrowUp"):
        pad.press(key)
    expect(message(playground)).to_contain_text("Press Play")
    button(playground, "Eraser").click()
    pad.focus()
    for key in ("Space", "Shift+ArrowDown", "Shift+ArrowDown"):
        pad.press(key)
    expect(message(playground)).to_contain_text("Your painting is empty")


@pytest.mark.parametrize(
    ("label", "model"),
    [("Learning rate of the VAE", "The VAE"), ("Learning rate of the generator", "The GAN")],
)
def test_an_absurd_learning_rate_is_explained_and_the_next_run_works(
    playground: Page, label: str, model: str
) -> None:
    slider = set_slider(playground, label, 12)
    expect(slider).to_have_attribute("aria-valuetext", "10")
    button(playground, "Play").click()
    expect(message(playground)).to_contain_text(f"{model} blew up", timeout=LONG)
    expect(message(playground)).to_contain_text("here 10")
    expect(button(playground, "Play")).to_be_visible()
    expect(slider).to_have_attribute("aria-valuetext", "10")  # settings stay
    button(playground, "Back to good settings").click()
    expect(slider).not_to_have_attribute("aria-valuetext", "10")
    button(playground, "Start again").click()
    button(playground, "Play").click()
    wait_for_steps(playground, 10)
    assert abs(told(playground, "loss-vae")) < 1e3
    assert abs(told(playground, "loss-gan")) < 1e3


@pytest.mark.parametrize(
    ("name", "label", "value", "why"),
    [
        ("Mode collapse", "Gradient penalty", "0", "only asked to fool the discriminator"),
        ("Posterior collapse", "KL weight beta", "50", "Saying nothing is cheapest"),
        ("Blur", "KL weight beta", "10", "the average of all points"),
    ],
)
def test_failures_are_one_button_away_and_explained(
    playground: Page, name: str, label: str, value: str, why: str
) -> None:
    slider = playground.get_by_role("slider", name=label, exact=True)
    good = slider.get_attribute("aria-valuetext")
    shape(playground, "Spiral").check(force=True)
    button(playground, name).click()
    expect(slider).to_have_attribute("aria-valuetext", value)
    expect(playground.locator(".playground-lesson")).to_contain_text(why)
    expect(playground.locator(".playground-lesson")).to_contain_text("The cure:")
    expect(playground.locator("figure[data-failing]")).to_have_count(1)
    expect(button(playground, "Pause")).to_be_visible()  # it trains
    wait_for_steps(playground, 5)
    button(playground, "Back to good settings").click()
    expect(slider).to_have_attribute("aria-valuetext", good or "")
    expect(playground.locator(".playground-lesson")).to_be_hidden()


def test_collapse_of_the_posterior_can_be_read(playground: Page) -> None:
    button(playground, "Posterior collapse").click()
    line = playground.locator("figure[data-model=vae] .playground-figure")
    expect(line).to_contain_text("next to nothing", timeout=LONG)


def test_training_rests_while_the_tab_is_not_seen(playground: Page) -> None:
    button(playground, "Play").click()
    wait_for_steps(playground, 3)
    playground.get_by_role("tab", name="Text").click()
    expect(button(playground, "Pause")).to_be_hidden()
    panel = playground.locator(".playground")
    expect(panel).to_have_attribute("data-state", "resting")
    steps = told(playground, "steps")
    playground.get_by_role("tab", name="Latent").click()
    expect(panel).to_have_attribute("data-state", "training")
    wait_for_steps(playground, int(steps) + 1)


@pytest.mark.parametrize("value", ["-1", "seven", "4294967296", ""])
def test_a_bad_seed_is_explained_and_put_back(playground: Page, value: str) -> None:
    seed = playground.locator(".playground").get_by_label("Seed", exact=True)
    seed.fill(value)
    seed.press("Enter")
    expect(message(playground)).to_contain_text("whole number from 0")
    expect(seed).to_have_value("7")


@pytest.mark.parametrize("size", sorted(SIZES))
def test_nothing_sticks_out_of_the_page(open_page: OpenPage, app_url: str, size: str) -> None:
    with opened(open_page, app_url, size) as page:
        button(page, "Blur").click()
        wait_for_steps(page, 2)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        plane = page.locator(".playground-plane").first.bounding_box()
        controls = page.locator(".playground-controls").bounding_box()
        assert plane
        assert controls
        assert (plane["y"] < controls["y"]) == (size == "phone")
