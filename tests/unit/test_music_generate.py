from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from demos.music.generate import MusicRequest, MusicStep, generate_music
from demos.music.show import read_token, show_caption, show_roll
from shared.batching import choose_writer
from shared.errors import InvalidRequest
from shared.sampling import TransformersWriter
from shared.tunes.compose import TuneModel
from shared.tunes.grammar import BarGrammar
from shared.tunes.sound import HIGHEST, render, score_to_midi_bytes
from shared.tunes.tokens import build_tokenizer


@pytest.fixture(scope="module")
def tune_model() -> TuneModel:
    """An untrained model with a context of few bars, so that it must slide."""
    tokenizer = build_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=96,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    return TuneModel(model, tokenizer, choose_writer(model))


def compose(tune_model: TuneModel, **values: Any) -> list[MusicStep]:
    request = MusicRequest.parse(**{"duration": 5, "seed": 1} | values)
    return list(generate_music(tune_model, request, Event()))


def test_a_seed_gives_the_same_sound_twice(tune_model: TuneModel) -> None:
    first, second, other = (compose(tune_model, seed=seed)[-1] for seed in (7, 7, 8))
    assert first.notes == second.notes != other.notes
    assert np.array_equal(render(first.score), render(second.score))
    assert score_to_midi_bytes(first.score) == score_to_midi_bytes(second.score)


def test_music_grows_bar_by_bar_and_ends_with_the_bar_that_fills_the_time(
    tune_model: TuneModel,
) -> None:
    steps = compose(tune_model, duration=12, description="a slow air in 3/4")
    assert [len(step.bars) for step in steps] == list(range(1, len(steps) + 1))
    assert steps[-1].seconds - steps[-1].bar_seconds < 12 <= steps[-1].seconds
    last = steps[-1].notes[-1].start - steps[-1].pickup
    assert last < steps[-1].seconds


def test_a_full_context_slides_and_the_meter_stays(tune_model: TuneModel) -> None:
    bars = compose(tune_model, duration=25, description="jig in 6/8", temperature=1.5)[-1].bars
    assert sum(len(bar.tokens) for bar in bars) > 2 * 96
    assert {bar.tokens[1].name for bar in bars} == {"TimeSig_6/8"}
    assert all(bar.tokens[0].name == "Bar_None" for bar in bars)


def test_another_tune_follows_one_that_ends_early(tune_model: TuneModel) -> None:
    # Of the tokens that may follow, this model always likes the end best.
    model, end = tune_model.model, tune_model.tokenizer["EOS_None"]

    def prefer_end(_: Any, __: Any, output: torch.Tensor) -> torch.Tensor:
        output[..., end] += 100
        return output

    hook = model.lm_head.register_forward_hook(prefer_end)
    try:
        slow = replace(tune_model, writer=TransformersWriter(model))  # goes through the hook
        bars = compose(slow)[-1].bars
    finally:
        hook.remove()
    assert [bar.tune for bar in bars] == list(range(1, len(bars) + 1))


def test_the_grammar_gives_every_note_a_place_and_a_length(tune_model: TuneModel) -> None:
    names = [t.name for bar in compose(tune_model)[-1].bars for t in bar.tokens]
    follows = {"Bar": {"TimeSig"}, "Position": {"Pitch"}, "Pitch": {"Duration"}}
    kinds = [name.split("_")[0] for name in names]
    assert all(b in follows.get(a, {b}) for a, b in pairwise(kinds))
    tokenizer = tune_model.tokenizer
    grammar = BarGrammar(tokenizer, longest_bar=5, highest_pitch=90)
    full = [tokenizer[n] for n in ("Bar_None", "TimeSig_4/4", "Position_0", "Pitch_60")]
    full.append(tokenizer["Duration_1.0.12"])
    assert grammar.next_ids(full) == [tokenizer["Bar_None"], tokenizer["EOS_None"]]


def test_no_note_is_too_high_for_the_synthesizer(tune_model: TuneModel) -> None:
    notes = compose(tune_model, description="G# minor, 60 bpm", temperature=1.5, seed=7)[-1].notes
    assert 60 < max(note.pitch for note in notes) <= HIGHEST


def test_music_starts_with_its_first_note(tune_model: TuneModel) -> None:
    step = compose(tune_model)[-1]
    assert step.pickup == step.notes[0].start
    assert step.seconds == pytest.approx(len(step.bars) * step.bar_seconds - step.pickup)


def test_stop_ends_it_within_a_step(tune_model: TuneModel) -> None:
    stop = Event()
    steps = generate_music(tune_model, MusicRequest.parse(duration=60, seed=1), stop)
    taken = list(islice(steps, 2))
    stop.set()
    assert len(taken) == 2
    assert len(list(steps)) <= 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"duration": 4}, "duration must be at least 5"),
        ({"duration": 61}, "duration must be at most 60"),
        ({"temperature": 0}, "temperature must be at least 0.1"),
        ({"description": "x" * 501}, "description is too long"),
        ({"seed": -2}, "seed must be at least -1"),
    ],
)
def test_bad_values_are_refused_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        MusicRequest.parse(**values)


def test_tokens_read_as_parts_of_a_whole_note() -> None:
    eighth = Fraction(1, 8)
    assert read_token("Position_18", eighth) == "Position 3/16"
    assert read_token("Duration_2.0.12", eighth) == "Duration 1/4"
    assert read_token("Pitch_67", eighth) == "Pitch G4"


def test_the_caption_says_what_was_not_understood(tune_model: TuneModel) -> None:
    step = compose(tune_model, description="a jig about a <dragon>")[-1]
    caption = show_caption(step, "Tunes", 1)
    assert caption.startswith("<b>Jig")
    assert "not understood: about, dragon" in caption
    assert show_roll(step.notes, 5, step.bar_seconds).count("<rect") == len(step.notes)
