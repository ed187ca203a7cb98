"""The prompt helper: every click makes a sentence that the model knows every word of."""

from __future__ import annotations

from demos.image.builder import PARTS, SWATCHES, list_values, show_builder, write_prompt
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
