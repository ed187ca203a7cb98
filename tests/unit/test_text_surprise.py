"""Surprise: the likelihood of a text, computed in windows and for words."""

from __future__ import annotations

import math
from threading import Event

import pytest
import torch

from demos.text.show_surprise import show_figures, show_tokens
from demos.text.surprise import Surprise, SurpriseRequest, measure_surprise, plan_windows
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from tests.unit.text_models import build_tiny, load_bundled

TEXT = 'The king said: "Come in, little fox!"\nAnd the fox, 🦊, came in. ' * 2


@pytest.fixture(scope="module")
def bundled() -> LanguageModel:
    return load_bundled()


def measure(language_model: LanguageModel, text: str) -> Surprise:
    request = SurpriseRequest.parse(text=text)
    return list(measure_surprise(language_model, request, Event()))[-1]


def naive_bits(language_model: LanguageModel, ids: list[int], target: int, start: int = 0) -> float:
    """Surprise of one id after all those from ``start`` on, by itself."""
    with torch.inference_mode():
        logits = language_model.model(torch.tensor([ids[start:target]])).logits[0, -1]
    return -float(logits.double().log_softmax(-1)[ids[target]]) / math.log(2)


def test_bits_per_character_are_the_log_likelihood(bundled: LanguageModel) -> None:
    surprise = measure(bundled, TEXT)
    ids = [bundled.tokenizer.bos_token_id, *bundled.tokenizer(TEXT).input_ids]
    expected = [naive_bits(bundled, ids, target) for target in range(1, len(ids))]
    assert surprise.done
    assert [one.bits for one in surprise.judged] == pytest.approx(expected, abs=1e-3)
    assert surprise.bits_per_character == pytest.approx(sum(expected) / len(TEXT), abs=1e-4)
    assert surprise.sizes()["model"] == math.ceil(sum(expected) / 8)
    assert "".join(one.piece.text for one in surprise.judged) == TEXT


@pytest.mark.parametrize("length", [2, 16, 17, 18, 25, 40, 41])
def test_windows_predict_each_id_once_with_half_a_context_at_least(length: int) -> None:
    size = 16
    windows = list(plan_windows(length, size))
    predicted: list[int] = []
    for start, fresh in windows:
        end = min(length, start + size + 1)
        predicted += range(fresh, end)
        assert end - 1 - start <= size, "a model reads no more at once"
        assert start == 0 or fresh - start >= size // 2
    assert predicted == list(range(1, length))
    if length <= size + 1:
        assert windows == [(0, 1)]


def test_a_text_longer_than_the_context_is_judged_in_windows() -> None:
    language_model = build_tiny("llama", context=16)
    surprise = measure(language_model, TEXT)
    ids = [0, *language_model.tokenizer(TEXT).input_ids]
    for start, fresh in plan_windows(len(ids), 16):
        target = min(fresh + 3, len(ids) - 1)
        expected = naive_bits(language_model, ids, target, start)
        assert surprise.judged[target - 1].bits == pytest.approx(expected, abs=1e-3)


def test_windows_agree_with_a_plain_pass_where_the_text_is_short() -> None:
    text = "A fox came."
    short, long = build_tiny("llama", context=16), build_tiny("llama", context=64)
    bits = [[one.bits for one in measure(model, text).judged] for model in (short, long)]
    assert bits[0] == pytest.approx(bits[1], abs=1e-4)


def test_every_token_says_what_was_expected(bundled: LanguageModel) -> None:
    surprise = measure(bundled, "Once upon a time")
    for one in surprise.judged:
        if one.expected == one.piece.label:
            assert one.probability == pytest.approx(2**-one.bits, abs=1e-4)
        else:
            assert one.probability >= 2**-one.bits


def test_words_gather_the_bits_of_their_tokens(bundled: LanguageModel) -> None:
    surprise = measure(bundled, "The woodcutter's  smartphone,\nüß 🦊!\n")
    words = surprise.words()
    assert [word.text for word in words] == ["The", "woodcutter's", "smartphone", ",", "üß", "🦊!"]
    spaces = [one.bits for one in surprise.judged if one.piece.text.isspace()]
    assert sum(word.bits for word in words) + sum(spaces) == pytest.approx(surprise.bits)


def test_a_word_at_the_end_has_all_bytes_of_its_last_letter(bundled: LanguageModel) -> None:
    surprise = measure(bundled, "مرحبا")
    (word,) = surprise.words()
    assert word.bits == pytest.approx(surprise.bits)


def test_shuffled_words_surprise_more_than_a_tale(bundled: LanguageModel) -> None:
    tale = "Once upon a time there was a king who had three daughters"
    shuffled = "three there upon daughters a who king was time Once had a"
    assert measure(bundled, shuffled).bits > 1.5 * measure(bundled, tale).bits


def test_without_a_mark_to_begin_with_the_first_token_is_a_guess(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    language_model = build_tiny("llama")
    monkeypatch.setattr("demos.text.surprise.begin_document", lambda _: [])
    for text in ("A fox came.", "A"):
        surprise = measure(language_model, text)
        assert surprise.done
        assert surprise.judged[0].bits == math.log2(language_model.model.config.vocab_size)


def test_stop_ends_after_a_window() -> None:
    language_model = build_tiny("llama", context=16)
    stop = Event()
    steps = measure_surprise(language_model, SurpriseRequest.parse(text=TEXT), stop)
    first = next(steps)
    stop.set()
    assert not first.done
    assert list(steps) == []


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_an_empty_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"The text is empty\."):
        SurpriseRequest.parse(text=text)


def test_what_a_visitor_wrote_is_shown_and_never_run(bundled: LanguageModel) -> None:
    surprise = measure(bundled, "<img src=x onerror=alert(1)> & co")
    assert "<img" not in show_figures(surprise)
    shown = show_tokens(surprise)
    assert "".join(token[0] for token in shown["tokens"]) + shown["rest"] == surprise.text
