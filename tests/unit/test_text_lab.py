"""The next token: the model's own figures, and controls equal to those of transformers."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from itertools import product
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch

from demos.text.lab import LabRequest, Prediction, predict_next
from demos.text.payload import to_payload
from demos.text.show_lab import show_prediction
from shared.catalog import LanguageModel
from shared.errors import InvalidRequest
from shared.sampling import Sampling, TokenSequence, TransformersEngine
from shared.settings import ROOT
from tests.unit.text_models import build_tiny, load_bundled

TEXT = "Once upon a time there was a little fox who"
CONTROLS: list[dict[str, Any]] = [
    dict(zip(("temperature", "top_k", "top_p", "min_p"), values, strict=True))
    for values in product((0.35, 1.0, 2.0), (0, 1, 40), (0.05, 0.9, 1.0), (0.0, 0.02, 0.5))
] + [{"temperature": 0.0, "top_k": 40, "top_p": 0.9, "min_p": 0.1}]
SHAPE = """
const { readFileSync } = await import("node:fs");
const { CUTS, entropy, shape } = await import(process.argv[1]);
const { logits, controls } = JSON.parse(readFileSync(0, "utf8"));
const answers = controls.map((one) => {
  const { before, after, cuts, kept, lost } = shape(logits, one);
  return { before: [...before], after: [...after], why: [...cuts].map((cut) => CUTS[cut]), kept,
           lost, bits: entropy(after) };
});
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def bundled() -> LanguageModel:
    return load_bundled()


@pytest.fixture(scope="module")
def look(bundled: LanguageModel) -> Prediction:
    return predict_next(bundled, LabRequest.parse(text=TEXT))


@pytest.fixture(scope="module")
def shaped(look: Prediction) -> list[dict[str, Any]]:
    """What the page's script makes of real logits under each of CONTROLS."""
    node = shutil.which("node")
    if not node:
        pytest.skip("No node found: install Node.js to test the page's arithmetic.")
    module = (ROOT / "demos" / "text" / "browser" / "distribution.js").as_uri()
    logits = look.logits[look.order].astype(np.float64).tolist()
    done = subprocess.run(
        [node, "--input-type=module", "-e", SHAPE, module],
        input=json.dumps({"logits": logits, "controls": CONTROLS}),
        capture_output=True,
        text=True,
        check=True,
    )
    return list(json.loads(done.stdout))


def test_probabilities_are_those_of_a_full_forward_pass(
    bundled: LanguageModel, look: Prediction
) -> None:
    ids = bundled.tokenizer(TEXT, return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = bundled.model(ids).logits[0, -1].softmax(-1)
    found = torch.from_numpy(look.logits).softmax(-1)
    assert torch.allclose(found, expected, atol=1e-4)
    assert look.order[0] == expected.argmax()


@pytest.mark.parametrize("number", range(len(CONTROLS)))
def test_the_page_shapes_as_the_processors_of_transformers_do(
    look: Prediction, shaped: list[dict[str, Any]], number: int
) -> None:
    scores = torch.from_numpy(look.logits[look.order].astype(np.float64))[None]
    before = scores.softmax(-1)[0]
    for process in Sampling(**CONTROLS[number]).processors():
        scores = process(torch.zeros(1, 1, dtype=torch.long), scores)
    after, answer = scores.softmax(-1)[0], shaped[number]
    assert torch.allclose(torch.tensor(answer["before"]).double(), before, atol=1e-6)
    assert torch.allclose(torch.tensor(answer["after"]).double(), after, atol=1e-6)
    assert answer["kept"] == int((after > 0).sum())
    assert answer["lost"] == pytest.approx(float(before[after == 0].sum()), abs=1e-6)
    assert answer["bits"] == pytest.approx(float(torch.special.entr(after).sum()) / np.log(2))
    cut = [bool(why) for why in answer["why"]]
    assert cut == (after == 0).tolist()


def test_each_token_is_cut_by_the_first_control_that_drops_it(
    look: Prediction, shaped: list[dict[str, Any]]
) -> None:
    answer = shaped[CONTROLS.index({"temperature": 1.0, "top_k": 40, "top_p": 0.9, "min_p": 0.02})]
    assert set(answer["why"][40:]) == {"top-k"}
    assert set(answer["why"][answer["kept"] : 40]) <= {"top-p", "min-p"}
    assert set(shaped[-1]["why"][1:]) == {"temperature 0"}


@pytest.mark.parametrize("temperature", [0.0, 0.8, 1.6])
def test_drawing_by_hand_writes_what_this_seed_writes(
    bundled: LanguageModel, temperature: float
) -> None:
    sampling = Sampling(temperature, 40, 0.95, 0.01)
    ids = bundled.tokenizer(TEXT).input_ids
    sequence = TokenSequence(list(ids), sampling, torch.Generator("cpu").manual_seed(5))
    written = TransformersEngine(bundled.model).write(sequence, Event())
    expected = [next(written).id for _ in range(6)]
    request = LabRequest.parse(
        text=TEXT, action="draw", seed=5, temperature=temperature, top_k=40, top_p=0.95, min_p=0.01
    )
    made: tuple[int, ...] = ()
    for _ in expected:
        made = predict_next(bundled, request.model_copy(update={"made": made})).made
    assert list(made) == expected


def test_a_token_that_is_taken_stands_in_the_text_as_itself(bundled: LanguageModel) -> None:
    tokenizer = bundled.tokenizer
    made = tuple(tokenizer(" 🦊!").input_ids)
    text = TEXT
    for number, token in enumerate(made):
        request = LabRequest.parse(text=TEXT, made=made[:number], action="take", token=token)
        text = predict_next(bundled, request).text
    assert text == f"{TEXT} 🦊!"
    again = predict_next(bundled, LabRequest.parse(text=TEXT, made=made))
    whole = predict_next(bundled, LabRequest.parse(text=text))
    assert np.allclose(again.logits, whole.logits, atol=1e-4)


def test_the_end_of_the_text_is_told_and_not_written(bundled: LanguageModel) -> None:
    end = bundled.tokenizer.eos_token_id
    look = predict_next(bundled, LabRequest.parse(text=TEXT, action="take", token=end))
    assert look.ended
    assert look.text == TEXT
    assert "complete" in show_prediction(look)["note"]


def test_nothing_is_asked_as_the_beginning_of_a_document(bundled: LanguageModel) -> None:
    look = predict_next(bundled, LabRequest.parse(text=""))
    with torch.inference_mode():
        expected = bundled.model(torch.tensor([[bundled.tokenizer.bos_token_id]])).logits[0, -1]
    assert np.allclose(look.logits, expected.numpy(), atol=1e-4)


def test_a_long_text_is_read_from_its_end() -> None:
    language_model = build_tiny("llama", context=16)
    text = "A fox. " * 20
    look = predict_next(language_model, LabRequest.parse(text=text))
    ids = language_model.tokenizer(text, return_tensors="pt").input_ids
    with torch.inference_mode():
        expected = language_model.model(ids[:, -16:]).logits[0, -1]
    assert np.allclose(look.logits, expected.numpy(), atol=1e-4)
    assert look.unread == ids.shape[1] - 16
    assert f"{look.unread} tokens are unread" in show_prediction(look)["note"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"action": "take", "token": 10**6}, "no token 1000000"),
        ({"action": "steal"}, "action"),
        ({"action": "draw", "temperature": 9}, "temperature must be at most 2"),
        ({"text": "x" * 20_001}, "too long"),
    ],
)
def test_what_cannot_be_used_is_said(
    bundled: LanguageModel, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        predict_next(bundled, LabRequest.parse(**{"text": TEXT, **values}))


def test_the_page_gets_every_logit_and_no_markup(look: Prediction) -> None:
    text = to_payload({**show_prediction(look), "text": "<script>"})
    assert "<" not in text
    data = json.loads(text)
    assert data["text"] == "<script>"
    logits = np.frombuffer(base64.b64decode(data["logits"]), "<f4")
    assert (logits == np.sort(look.logits)[::-1]).all()
    assert data["tokens"][0] == [int(look.order[0]), look.labels[0]]
