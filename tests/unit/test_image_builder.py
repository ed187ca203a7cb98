"""The prompt helper: every click makes a sentence that the model knows every word of."""

from __future__ import annotations

import pytest

from demos.image.builder import (
    KITS,
    SWATCHES,
    Built,
    ask_for,
    list_examples,
    list_values,
    show_builder,
    write_prompt,
)
from demos.image.generate import read_prompt
from shared.critters.worlds import WORLDS
from training.caption_tokenizer import build_tokenizer


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_everything_that_can_be_drawn_can_be_clicked(world: str) -> None:
    assert set(KITS) == set(WORLDS)
    everything = WORLDS[world].values
    assert set(KITS[world].parts) == set(everything)
    shown = show_builder(world=world)
    for part, values in everything.items():
        assert set(list_values(world, part)) == set(values)
        assert shown.count(f'data-part="{part}"') == len(values)


def test_every_sentence_is_in_the_vocabulary(world: str) -> None:
    tokenizer, everything = build_tokenizer(), WORLDS[world].values
    for number in range(max(map(len, everything.values()))):
        row = {part: values[number % len(values)] for part, values in everything.items()}
        prompt = write_prompt(row, world)
        words = read_prompt(tokenizer, prompt)
        assert all(word.pieces == 1 and word.is_read for word in words), prompt


def test_sentences_read_well() -> None:
    assert write_prompt({}) == "a monster"
    assert write_prompt({"color": "orange"}) == "an orange monster"
    some = {"color": "pink", "eyes": "one eye", "top": "horns", "accent": "blue"}
    assert write_prompt(some) == "a pink monster with one eye and blue horns"
    full = {**some, "body": "bumpy", "mouth": "smile", "background": "navy"}
    assert write_prompt(full) == (
        "a pink bumpy monster with one eye, a smile and blue horns on a navy background"
    )


def test_plants_read_well() -> None:
    pot = {"pot": "round", "color": "blue", "plant": "tulip", "accent": "white", "mouth": "grin"}
    assert write_prompt({**pot, "background": "peach"}, "sprouts") == (
        "a blue round pot with a white tulip and a grin on a peach background"
    )
    assert write_prompt({"plant": "cactus", "accent": "white"}, "sprouts") == "a pot with a cactus"


def test_what_can_be_asked_for_is_what_the_model_draws() -> None:
    assert ask_for(["critters"]) == "Describe a little monster"
    assert ask_for(list(KITS)) == "Describe a monster or a potted plant"
    assert not any("cactus" in text for text in list_examples(["critters"]))
    tokenizer, everything = build_tokenizer(), list_examples(list(KITS))
    assert sum("cactus" in text for text in everything) == 1
    for text in everything:
        assert all(word.pieces == 1 for word in read_prompt(tokenizer, text)), text


def test_what_is_unknown_is_left_out() -> None:
    assert (
        write_prompt({"color": "<b>", "wings": "two", "top": "crown"}) == "a monster with a crown"
    )


def test_every_colour_has_a_swatch(world: str) -> None:
    values = WORLDS[world].values
    for part in {"color", "accent", "background"} & set(values):
        assert set(values[part]) <= SWATCHES.keys()


def test_clicks_put_one_monster_together_behind_the_visitors_own_words() -> None:
    eyes = {"eyes": "three eyes"}
    built = Built().build("a purple unicorn", eyes, eyes)
    assert built.prompt == "a purple unicorn, a monster with three eyes"
    both = {**eyes, "top": "crown"}
    built = built.build(built.prompt, both, {"top": "crown"})
    assert built.prompt == "a purple unicorn, a monster with three eyes and a crown"
    built = built.build(built.prompt, {"accent": "pink"}, {"accent": "pink"})
    assert built.prompt == "a purple unicorn"


def test_another_world_takes_the_place_of_the_sentence_before() -> None:
    built = Built().build("", {"top": "crown"}, {"top": "crown"})
    cactus = {"plant": "cactus"}
    built = built.build(built.prompt, cactus, cactus, "sprouts")
    assert built.prompt == "a pot with a cactus"
    shown = show_builder(built.choice, "sprouts")
    assert shown.count('aria-pressed="true"') == 1
    assert 'data-part="body"' not in shown


def test_what_was_clicked_before_is_forgotten_when_other_words_are_written() -> None:
    built = Built().build("", {"body": "square"}, {"body": "square"})
    assert built.prompt == "a square monster"
    pressed = {"body": "square", "top": "crown"}
    built = built.build("a dragon", pressed, {"top": "crown"})
    assert built.prompt == "a dragon, a monster with a crown"
    assert built.choice == {"top": "crown"}
    assert show_builder(built.choice).count('aria-pressed="true"') == 1
