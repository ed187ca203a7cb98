"""Two steps of training on a handful of made-up tunes, and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from shared.tunes.controls import TuneControls
from shared.tunes.tokens import build_tokenizer, ids_to_score, load_tokenizer
from training.common import Budget
from training.music_data import Tune, abc_style, split_tunes
from training.train_music import (
    batches,
    build_model,
    build_optimizer,
    describe_tunes,
    evaluate,
    export,
    sample,
    tokenize,
    train_music,
)


def scale(title: str, start: int) -> Tune:
    """Four bars of quarters going up from ``start``."""
    notes = np.array([[24 * step, 24, start + step % 8] for step in range(16)])
    return Tune(title, "Reel", "Major", "4/4", notes)


def test_train_export_reload_and_sample(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    corpus = tokenize(tokenizer, [scale(f"tune {start}", start) for start in range(60, 66)])
    model = build_model(tokenizer, width=48, layers=1)
    data = batches(tokenizer, corpus, 256, np.random.default_rng(0))
    before = evaluate(model, tokenizer, corpus)
    steps = train_music(
        model, build_optimizer(model, 1e-2), data, Budget(1), learning_rate=1e-2, max_steps=2
    )
    assert len(list(steps)) == 2
    assert evaluate(model, tokenizer, corpus) < before

    export(model, tokenizer, tmp_path)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    reloaded_tokenizer = load_tokenizer(tmp_path)
    request = TuneControls(style="Reel", mode="Major", meter="4/4")
    [ids] = sample(loaded, reloaded_tokenizer, [request], seed=0, max_tokens=45)
    assert 5 <= len(ids) <= 45
    assert ids_to_score(reloaded_tokenizer, ids).time_signatures[0].numerator == 4


def test_a_real_scale_scores_full_marks() -> None:
    tokenizer = build_tokenizer()
    tune = Tune("c", "Reel", "Major", "4/4", np.array([[24 * i, 24, 60] for i in range(16)]))
    [tokens] = tokenize(tokenizer, [tune])
    ids = [*tokens.ids.tolist(), tokenizer["EOS_None"]]
    figures = describe_tunes(tokenizer, [TuneControls(mode="Major", meter="4/4")], [ids])
    assert set(figures.values()) == {1.0}


def test_versions_of_one_tune_stay_on_one_side() -> None:
    rng = np.random.default_rng(0)
    tunes = []
    for number in range(40):
        notes = np.column_stack([np.arange(24), np.ones(24, int), rng.integers(60, 84, 24)])
        titles = (f"The Tune {number}", f"Tune {number} -- Reel")
        tunes += [Tune(title, "Reel", "Major", "4/4", notes) for title in titles]
    renamed = Tune("Another Name", "Reel", "Major", "4/4", tunes[0].notes)
    train, held_out = split_tunes([*tunes, renamed])
    shared = {tune.notes.tobytes() for tune in train} & {tune.notes.tobytes() for tune in held_out}
    assert len(held_out) >= 4
    assert not shared


def test_styles_come_from_field_chapter_title_and_meter_in_that_order() -> None:
    assert abc_style("ryansMammoth", 1, "slip jig", "A Reel", "9/8") == "SlipJig"
    assert abc_style("oneills1850", 650, "", "Planxty Irwin", "3/4") == "Air"
    assert abc_style("airdsAirs", 3, "", "Lord Kelly's Reel", "4/4") == "Reel"
    assert abc_style("airdsAirs", 4, "", "Maria's Frolick", "6/8") == "Jig"
    assert abc_style("airdsAirs", 5, "", "The Lads of the Village", "2/4") == "Any"
    assert abc_style("oneills1850", 1000, "", "Some Jig", "4/4") == "Any"
