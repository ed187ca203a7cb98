"""A text and its branches, and what the page is told of them."""

from __future__ import annotations

import json

import pytest

from demos.text.generate import TextRequest, TextStep, Token, Turn
from demos.text.show_chat import show_chat
from demos.text.story import MOST_BRANCHES, Branch, Story, begin_with, fork, read_tokens, show_story
from demos.text.tabs.chat import Conversation
from shared.errors import InvalidRequest

LIKELY = ((7, " cat", 0.5), (8, " dog", 0.3))
TOKENS = (
    Token(7, " cat", 0.5, LIKELY),
    Token(9, " sat", 0.9, ((9, " sat", 0.9), (8, " dog", 0.1))),
)


@pytest.fixture
def story() -> Story:
    return Story("The", "text/storyteller").grow(Branch()).write(TextStep(TOKENS), ())


def test_another_word_makes_a_branch_that_shares_what_stands_before(story: Story) -> None:
    branch = fork(story, 1, 8)
    assert [token.text for token in branch.tokens] == [" cat", " dog"]
    assert begin_with(TextRequest.parse(seed=1), branch).begun == (7, 8)
    grown = story.grow(branch).write(TextStep((Token(3, " ran", 0.1),)), branch.tokens)
    assert grown.text == "The cat dog ran"
    assert grown.branches[0] == story.branch
    assert grown.visit(0).text == "The cat sat"
    assert grown.visit(5) == grown


def test_of_very_many_branches_the_latest_are_kept(story: Story) -> None:
    for number in range(3 * MOST_BRANCHES):
        story = story.grow(Branch(note=str(number))).write(TextStep(TOKENS[:1]), ())
    notes = [branch.note for branch in story.branches]
    assert notes == [str(number) for number in range(2 * MOST_BRANCHES, 3 * MOST_BRANCHES)]
    assert (story.branch.note, story.text) == (notes[-1], "The cat")
    assert story.visit(0).branch.note == notes[0]
    grown = story.visit(0).grow(fork(story.visit(0), 0, 8))
    assert (len(grown.branches), grown.text) == (MOST_BRANCHES, "The dog")


@pytest.mark.parametrize(("place", "id_"), [(1, 7), (2, 8), (-1, 8)])
def test_only_what_is_on_the_page_can_be_chosen(story: Story, place: int, id_: int) -> None:
    with pytest.raises(InvalidRequest):
        fork(story, place, id_)


def test_what_the_page_shows_can_be_read_back(story: Story) -> None:
    shown = show_story(story.grow(fork(story, 0, 8)))
    assert read_tokens(show_story(story)) == TOKENS
    page = json.loads(shown)
    assert (page["taken"], page["current"], len(page["branches"])) == (0, 1, 2)


def test_a_talk_goes_on_and_can_be_asked_again() -> None:
    conversation = Conversation().say("Hello")
    answered = Conversation(
        (*conversation.turns, Turn(role="assistant", content="Hi")), conversation.asked
    )
    assert [turn.content for turn in answered.say("And?").turns] == ["Hello", "Hi", "And?"]
    assert answered.ask_again().turns == conversation.turns
    assert answered.ask_again() != conversation  # so that the page sees the command
    for refuse in (Conversation().ask_again, lambda: conversation.say(" \n")):
        with pytest.raises(InvalidRequest):
            refuse()


def test_what_is_said_is_shown_and_never_run() -> None:
    shown = show_chat([Turn(role="user", content="<script>alert(1)</script> **bold**")])
    assert "<script>" not in shown
    assert "**bold**" in shown
