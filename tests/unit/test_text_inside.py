"""Inside a model: attention and the lens, with transformers as the reference."""

from __future__ import annotations

import base64
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from demos.text.inside import MOST_TOKENS, Inside, InsideRequest, find_norm, look_inside
from demos.text.show_inside import describe_reading, show_inside
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from tests.unit.text_models import KINDS, build_tiny, load_bundled

TEXT = "The fox gave the ring to the queen. The queen put the ring on"


@pytest.fixture(scope="module", params=["bundled", *KINDS])
def language_model(request: pytest.FixtureRequest) -> LanguageModel:
    return load_bundled() if request.param == "bundled" else build_tiny(request.param)


def look(language_model: LanguageModel, text: str = TEXT) -> Inside:
    *_, last = look_inside(language_model, InsideRequest.parse(text=text), Event())
    assert last.done == last.total
    assert last.inside
    return last.inside


def forward(language_model: LanguageModel, **options: Any) -> Any:
    ids = language_model.tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.inference_mode():
        return language_model.model(ids, **options)


def test_attention_is_that_of_an_eager_model(language_model: LanguageModel) -> None:
    inside = look(language_model)
    assert np.allclose(inside.attention.sum(-1), 1, atol=1e-5)
    assert (np.triu(inside.attention, 1) == 0).all()
    model: Any = language_model.model
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        expected = torch.stack(forward(language_model, output_attentions=True).attentions)[:, 0]
    finally:
        model.set_attn_implementation(before)
    assert np.allclose(inside.attention, expected.numpy(), atol=1e-5)


def test_the_last_layer_says_what_the_model_says(language_model: LanguageModel) -> None:
    inside = look(language_model)
    truth = forward(language_model).logits[0].softmax(-1).topk(5)
    assert np.allclose(inside.lens_probabilities[-1], truth.values.numpy(), atol=1e-4)
    assert (inside.lens_ids[-1, :, 0] == truth.indices[:, 0].numpy()).all()


def test_each_layer_goes_through_the_norm_and_the_head(language_model: LanguageModel) -> None:
    inside = look(language_model)
    model: Any = language_model.model
    states = forward(language_model, output_hidden_states=True).hidden_states
    assert len(inside.lens_ids) == len(states)
    with torch.inference_mode():
        for layer, state in enumerate(states[:-1]):
            logits = model.lm_head(find_norm(model)(state))[0]
            expected = logits.softmax(-1).topk(5).values.numpy()
            assert np.allclose(inside.lens_probabilities[layer], expected, atol=1e-4)


def test_others_use_the_model_meanwhile_as_if_nobody_looked() -> None:
    language_model = build_tiny("llama")
    model: Any = language_model.model
    expected = forward(language_model).logits
    modes = set()

    def watch(*_: Any) -> None:
        modes.add(model.config._attn_implementation)

    hook = model.register_forward_hook(watch)
    with ThreadPoolExecutor(2) as threads:
        looks = [threads.submit(look, language_model) for _ in range(8)]
        while not all(one.done() for one in looks):
            output = forward(language_model)
            assert torch.equal(output.logits, expected)
            assert "attentions" not in output
    hook.remove()
    assert modes == {"sdpa"}
    attention = [one.result().attention for one in looks]
    assert all((one == attention[0]).all() for one in attention)


def test_weights_are_not_copied_and_hooks_stay_out() -> None:
    language_model = build_tiny("gpt2")
    before = {name: tensor.data_ptr() for name, tensor in language_model.model.named_parameters()}
    look(language_model)
    after = {name: tensor.data_ptr() for name, tensor in language_model.model.named_parameters()}
    assert before == after
    assert not any(part._forward_pre_hooks for part in language_model.model.modules())


def test_a_long_text_is_read_from_its_beginning_and_that_is_said() -> None:
    language_model = build_tiny("llama", context=256)
    text = "A little fox. " * 60
    inside = look(language_model, text)
    assert len(inside.pieces) == MOST_TOKENS
    assert inside.total == len(language_model.tokenizer(text).input_ids)
    assert text.startswith("".join(piece.text for piece in inside.pieces))
    assert "only the first 128 are shown" in describe_reading(inside, text)


def test_a_model_of_another_kind_is_told_apart() -> None:
    language_model = build_tiny("llama")
    model: Any = language_model.model
    model.model.last = model.model.norm
    del model.model.norm
    with pytest.raises(InvalidRequest, match="no last norm"):
        look(language_model)


def test_a_head_that_does_more_is_told_apart() -> None:
    language_model = build_tiny("llama")
    model: Any = language_model.model
    model.register_forward_hook(lambda *args: replace(args[-1], logits=args[-1].logits * 0.2))
    with pytest.raises(InvalidRequest, match="head does more"):
        look(language_model)


def test_stop_ends_within_a_layer() -> None:
    stop = Event()
    steps = look_inside(build_tiny("llama"), InsideRequest.parse(text=TEXT), stop)
    next(steps)
    stop.set()
    assert list(steps) == []


def test_the_page_gets_rows_that_it_can_find_again() -> None:
    inside = look(build_tiny("llama"))
    data = show_inside(inside)
    length = len(data["pieces"])
    shares = np.frombuffer(base64.b64decode(data["attention"]), np.uint8)
    shares = shares.reshape(data["layers"], data["heads"], length * (length + 1) // 2)
    chosen = 7
    start = chosen * (chosen + 1) // 2
    row = shares[2, 1, start : start + chosen + 1] / 255
    assert np.allclose(row, inside.attention[2, 1, chosen, : chosen + 1], atol=1 / 255)
    id_, share = data["lens"][3][chosen][0]
    assert data["labels"][str(id_)] == inside.labels[inside.lens_ids[3, chosen, 0]]
    assert share == pytest.approx(inside.lens_probabilities[3, chosen, 0], abs=1e-5)


def test_an_empty_text_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="The text is empty"):
        InsideRequest.parse(text="")
