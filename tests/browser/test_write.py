"""The text room: write, stop, click a token, branch, compare, chat, and ask for the impossible."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import enter_tab

LONG = 60_000  # milliseconds; the first use of a room imports its libraries
# The whole text may take half a second: by the time that a test has looked, it is there.
STOP_AT_THE_FIRST_WORDS = """(prompt) => {
  const observer = new MutationObserver(() => {
    const stop = [...document.querySelectorAll("button.stop")].find((one) => one.offsetParent);
    const begun = document.querySelector(".paper .prompt")?.textContent === prompt;
    if (!stop || !begun || !document.querySelector(".paper .token")) return;
    observer.disconnect();
    stop.click();
  });
  observer.observe(document.body, { childList: true, subtree: true, attributes: true });
}"""


@pytest.fixture
def room(page: Page) -> Locator:
    return enter_tab(page, "Text", "Write")


def write(room: Locator, prompt: str, length: int | None = 20) -> None:
    room.get_by_label("Your beginning").fill(prompt)
    room.get_by_label("Seed").fill("7")  # others might end at once
    if length:
        room.get_by_role("button", name="More settings").click()
        room.get_by_role("spinbutton", name="Length in tokens").fill(str(length))
        room.get_by_role("spinbutton", name="Length in tokens").blur()
    room.get_by_role("button", name="Write", exact=True).click()
    expect(room.locator(".paper .prompt").last).to_have_text(prompt, timeout=LONG)
    finish(room)


def finish(room: Locator) -> None:
    expect(room.get_by_role("button", name="Stop")).not_to_be_visible(timeout=LONG)


def test_what_one_writes_goes_on_and_is_shown_as_it_is(room: Locator) -> None:
    write(room, "שלום! A mouse <b>and</b> a **lion** went to the")
    assert room.locator(".paper .token").count() > 3
    assert not room.locator(".paper b").count()
    expect(room.locator(".caption").last).to_contain_text("Storyteller")


@pytest.mark.phone
def test_what_is_written_comes_into_view(room: Locator) -> None:
    room.get_by_role("button", name="Keep last seed").scroll_into_view_if_needed()
    write(room, "The fox")
    expect(room.locator(".paper .token").first).to_be_in_viewport()


def test_it_stops_within_a_moment_and_keeps_what_there_is(room: Locator) -> None:
    room.get_by_label("Your beginning").fill("The king")
    room.get_by_label("Seed").fill("7")
    room.get_by_role("button", name="More settings").click()
    room.get_by_role("spinbutton", name="Length in tokens").fill("400")
    room.get_by_role("spinbutton", name="Length in tokens").blur()
    room.page.evaluate(STOP_AT_THE_FIRST_WORDS, "The king")
    room.get_by_role("button", name="Write", exact=True).click()
    expect(room.locator(".caption").last).to_contain_text("stopped", timeout=LONG)
    finish(room)
    assert 0 < room.locator(".paper .token").count() < 400


@pytest.mark.phone
def test_another_word_makes_another_story_and_both_are_kept(room: Locator) -> None:
    write(room, "Once upon a time")
    before = room.locator(".paper").inner_text()
    room.locator(".paper .token").nth(3).click()
    choice = room.locator(".page-choice")
    expect(choice).to_contain_text("Here stands")
    shares = [
        float(text.split()[0])
        for text in choice.locator("button span:last-child").all_inner_texts()
        if "under" not in text
    ]
    assert shares == sorted(shares, reverse=True)
    other = choice.get_by_role("button", disabled=False).nth(2)
    word = other.locator("span").first.inner_text()
    other.click()
    expect(room.locator(".paper .taken")).to_have_text(
        word.replace("␣", " ").replace("↵", "\n"), timeout=LONG
    )
    finish(room)
    assert room.locator(".paper").inner_text() != before
    first = room.get_by_role("group", name="Ways that the text went").get_by_role("button").first
    first.click()
    expect(room.locator(".paper")).to_have_text(before, use_inner_text=True)


def test_a_text_goes_on_goes_another_way_and_can_be_edited(room: Locator) -> None:
    write(room, "The owl said", 12)
    before = room.locator(".paper").inner_text()
    room.get_by_role("button", name="Go on").click()
    ways = room.get_by_role("group", name="Ways that the text went").get_by_role("button")
    expect(ways).to_have_count(2, timeout=LONG)
    finish(room)
    assert room.locator(".paper").inner_text().startswith(before)
    room.get_by_role("button", name="Another way").click()
    expect(ways).to_have_count(3, timeout=LONG)
    finish(room)
    assert not room.locator(".paper").inner_text().startswith(before)
    room.get_by_role("button", name="Edit the text").click()
    shown = room.locator(".paper").inner_text().split("∎")[0].strip()
    expect(room.get_by_label("Your beginning")).to_have_value(re.compile(re.escape(shown[:20])))


def test_the_colours_and_the_keyboard_work(room: Locator) -> None:
    room.get_by_label("Show how sure it was").check()
    expect(room.locator(".paper.coloured")).to_be_visible()
    room.locator(".paper .token").first.focus()
    room.page.keyboard.press("ArrowRight")
    room.page.keyboard.press("Enter")
    expect(room.locator(".paper .token").nth(1)).to_have_class(re.compile("chosen"))
    expect(room.locator(".page-choice")).to_be_visible()


def test_the_text_is_handed_out_with_and_without_its_recipe(room: Locator) -> None:
    with room.page.expect_download(timeout=LONG) as text:
        room.get_by_role("button", name="Download the text").click()
    assert "fox" in Path(text.value.path()).read_text(encoding="utf-8")
    with room.page.expect_download(timeout=LONG) as record:
        room.get_by_role("button", name="with its recipe").click()
    assert '"seed": 7' in Path(record.value.path()).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("prompt", "message"), [("", "The prompt is empty"), ("word " * 600, "too long for this model")]
)
def test_a_prompt_that_cannot_be_used_is_explained(
    room: Locator, prompt: str, message: str
) -> None:
    made = room.locator(".paper").inner_text()
    room.get_by_label("Your beginning").fill(prompt)
    room.get_by_role("button", name="Write", exact=True).click()
    expect(room.locator(".failed").get_by_text(message)).to_be_visible(timeout=LONG)
    assert room.locator(".paper").inner_text() == made
    if prompt:
        room.get_by_label("Read only the end").check()
        room.get_by_role("button", name="Write", exact=True).click()
        expect(room.locator(".caption").last).to_contain_text("were not read", timeout=LONG)
        finish(room)


def test_a_first_visit_finds_finished_examples(desktop: Page) -> None:
    room = enter_tab(desktop, "Text", "Compare")
    expect(room.locator(".paper .token").nth(200)).to_be_visible(timeout=LONG)
    room = enter_tab(desktop, "Text", "Chat")
    expect(room.locator(".chat-turn.assistant")).to_be_visible(timeout=LONG)
    room.get_by_role("button", name="Answer again").click()
    expect(desktop.get_by_text("There is nothing to answer yet")).to_be_visible(timeout=LONG)


def test_two_settings_write_side_by_side(desktop: Page) -> None:
    room = enter_tab(desktop, "Text", "Compare")
    room.get_by_role("spinbutton", name="Temperature of B").fill("0")
    room.get_by_role("button", name="Write both").click()
    for side in range(2):
        expect(room.locator(".page").nth(side).locator(".token").nth(3)).to_be_visible(timeout=LONG)
    finish(room)
    expect(room.get_by_text(re.compile("temperature 0$"))).to_be_visible()
    room.locator(".page").first.locator(".token").nth(2).click()
    options = room.locator(".page").first.locator(".page-option")
    assert {option.is_disabled() for option in options.all()} == {True}, "here nothing branches"


def test_a_model_that_cannot_chat_says_so_and_the_message_stays(desktop: Page) -> None:
    room = enter_tab(desktop, "Text", "Chat")
    room.get_by_label("Your message").fill("Hello <i>there</i>")
    room.get_by_role("button", name="Send").click()
    expect(room.locator(".failed").get_by_text("never trained to answer")).to_be_visible(
        timeout=LONG
    )
    expect(room.get_by_label("Your message")).to_have_value("Hello <i>there</i>")
    room.locator(".failed").evaluate("(message) => { message.id = 'first'; }")
    room.get_by_role("button", name="Send").click()  # the same message once more is asked again
    expect(room.locator(".failed:not(#first)")).to_be_visible(timeout=LONG)
    room.get_by_role("button", name="Edit my last").click()
    expect(desktop.get_by_text("There is nothing to edit yet")).to_be_visible(timeout=LONG)
