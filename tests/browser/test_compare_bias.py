"""What a visitor does in the Compare and Bias tabs of the latent-space room."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import enter_latent

LONG = 240_000  # milliseconds; measuring keeps both cores busy


def fits(page: Page) -> bool:
    """Whether nothing has to be scrolled sideways."""
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
        )
    )


def fill(room: Locator, label: str, value: str) -> None:
    field = room.get_by_label(label).first
    field.fill(value)
    field.blur()


@pytest.mark.phone
def test_models_are_measured_on_the_spot(page: Page) -> None:
    room = enter_latent(page, "Compare")
    fill(room, "number input for Pictures of each kind", "50")
    room.get_by_role("button", name="Measure again, now").click()
    line = room.locator("tr[data-figure=frechet]")
    expect(room.get_by_text("Measured now")).to_be_visible(timeout=LONG)
    expect(line.locator("td.gan")).to_have_text(re.compile(r"\d"))
    expect(line.locator("svg")).to_have_attribute("aria-label", re.compile("Fréchet.*VAE.*GAN"))
    assert fits(page)


def test_measuring_can_be_stopped(page: Page) -> None:
    room = enter_latent(page, "Compare")
    fill(room, "number input for Pictures of each kind", "1000")
    room.get_by_role("button", name="Measure again, now").click()
    expect(room.get_by_text(re.compile(r"Drawing .* · \d+%"))).to_be_visible(timeout=LONG)
    room.get_by_role("button", name="Stop").first.click()
    expect(room.get_by_text(re.compile("· stopped"))).to_be_visible(timeout=LONG)
    expect(room.get_by_role("button", name="Measure again, now")).to_be_visible(timeout=LONG)


def test_the_nearest_training_pictures_stand_beside_each_picture(page: Page) -> None:
    room = enter_latent(page, "Compare")
    fill(room.locator(".tab-columns").nth(1), "Seed", "8")
    room.get_by_role("button", name="Show the nearest training pictures").click()
    expect(room.get_by_text("Seed 8", exact=True)).to_be_visible(timeout=LONG)
    rows = room.locator(".near-row")
    expect(rows).to_have_count(3)
    for index in range(3):
        expect(rows.nth(index).locator("img")).to_have_count(5)
    assert fits(page)


@pytest.mark.phone
def test_red_critters_of_each_model_are_drawn(page: Page) -> None:
    room = enter_latent(page, "Bias")
    room.get_by_role("button", name="Draw fresh red critters").click()
    expect(room.get_by_text("Fresh red critters: seed")).to_be_visible(timeout=LONG)
    expect(room.get_by_role("button", name="Draw fresh red critters")).to_be_visible(timeout=LONG)
    expect(room.get_by_text(re.compile(r"GAN · \d+ of 12 smile"))).to_be_visible()
    expect(room.locator(".reds > div:not(.push) img")).to_have_count(36)
    assert fits(page)


def test_a_critter_is_pushed_towards_red(page: Page) -> None:
    room = enter_latent(page, "Bias")
    room.get_by_role("button", name="Push one towards red").click()
    expect(room.get_by_text("Towards red, a step at a time")).to_be_visible(timeout=LONG)
    expect(room.locator(".push figure")).to_have_count(10)
    assert fits(page)


def test_an_impossible_seed_is_explained(page: Page) -> None:
    room = enter_latent(page, "Bias")
    fill(room, "Seed", "-5")
    room.get_by_role("button", name="Draw fresh red critters").click()
    expect(room.locator(".failed").get_by_text("The seed must be at least -1")).to_be_visible(
        timeout=LONG
    )
    expect(room.get_by_role("button", name="Draw fresh red critters")).to_be_visible()
