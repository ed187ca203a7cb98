"""The prompt helper: every click makes a sentence that the model knows every word of."""

from __future__ import annotations

from demos.image.builder import PARTS, SWATCHES, Built, list_values, show_builder, write_prompt
from demos.image.generate import read_prompt
from training.caption_tokenizer import build_tokenizer
from training.critter_data import VALUES


def test_everything_that_can_be_drawn_can_be_clicked() -> None:
    assert set(PARTS) == set(VALUES)
    for part, values in VALUES.items():
        assert set(list_values(part)) == set(values)
    assert all(show_builder().count(f'data-part="{part}"') == len(VALUES[part]) for part in PARTS)


def test_every_sentence_is_in_the_vocabulary() -> None:
    tokenizer = build_tokenizer()
    for number in range(max(map(len, VALUES.values()))):
        row = {part: values[number % len(values)] for part, values in VALUES.items()}
        prompt = write_prompt(row)
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


def test_what_is_unknown_is_left_out() -> None:
    assert (
        write_prompt({"color": "<b>", "wings": "two", "top": "crown"}) == "a monster with a crown"
    )


def test_every_colour_has_a_swatch() -> None:
    assert {*VALUES["color"], *VALUES["accent"], *VALUES["background"]} <= SWATCHES.keys()


def test_clicks_put_one_monster_together_behind_the_visitors_own_words() -> None:
    eyes = {"eyes": "three eyes"}
    built = Built().build("a purple unicorn", eyes, eyes)
    assert built.prompt == "a purple unicorn, a monster with three eyes"
    both = {**eyes, "top": "crown"}
    built = built.build(built.prompt, both, {"top": "crown"})
    assert built.prompt == "a purple unicorn, a monster with three eyes and a crown"
    built = built.build(built.prompt, {"accent": "pink"}, {"accent": "pink"})
    assert built.prompt == "a purple unicorn"


def test_what_was_clicked_before_is_forgotten_when_other_words_are_written() -> None:
    built = Built().build("", {"body": "square"}, {"body": "square"})
    assert built.prompt == "a square monster"
    pressed = {"body": "square", "top": "crown"}
    built = built.build("a dragon", pressed, {"top": "crown"})
    assert built.prompt == "a dragon, a monster with a crown"
    assert built.choice == {"top": "crown"}
    assert show_builder(built.choice).count('aria-pressed="true"') == 1
