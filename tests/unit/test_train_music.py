"""Two steps of training on a handful of made-up pieces, and what comes out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM

from shared.tunes.tokens import CONTROLS, build_tokenizer, load_tokenizer
from training.common import Budget
from training.llama import apply_dropout, build_optimizers, train_llama
from training.music_pieces import Tune
from training.train_music import (
    CONTEXT,
    batches,
    build_model,
    complete,
    evaluate,
    export,
    next_token_loss,
    plan_batches,
    split_bars,
    tokenize,
    window,
)


def scale(start: int, bars: int = 4) -> Tune:
    """Bars of quarters going up from ``start``."""
    notes = np.array([[24 * step, 24, start + step % 8] for step in range(4 * bars)])
    return Tune(f"tune {start}", "Reel", "Major", "4/4", notes)


def song() -> Tune:
    """Eight bars of a singer's half notes over a piano's quarters."""
    piano = np.array([[24 * step, 24, 48 + step % 5] for step in range(32)])
    voice = np.array([[48 * step, 48, 72 + step % 3] for step in range(16)])
    return Tune("Song", "Lied", "Minor", "4/4", piano, voice, tempo=60)


def test_train_export_and_reload(tmp_path: Path) -> None:
    tokenizer = build_tokenizer()
    corpus = tokenize(tokenizer, [*(scale(start) for start in range(60, 66)), song()])
    model = build_model(tokenizer, width=64, layers=1)
    data = batches(tokenizer, corpus, 256, np.random.default_rng(0))
    before = evaluate(model, tokenizer, corpus)
    with apply_dropout(model, 0.05):
        steps = train_llama(
            "tunes",
            model,
            next_token_loss,
            build_optimizers(model),
            data,
            Budget(1),
            learning_rate=1e-2,
            max_steps=2,
        )
        assert len(list(steps)) == 2
    after = evaluate(model, tokenizer, corpus)
    assert after < before

    export(model, tokenizer, tmp_path)
    loaded: Any = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    assert load_tokenizer(tmp_path).vocab == tokenizer.vocab
    assert abs(evaluate(loaded, tokenizer, corpus) - after) < 1e-2


def test_a_window_says_its_controls_and_later_ones_begin_at_a_bar() -> None:
    tokenizer = build_tokenizer()
    [reel, long, lied] = tokenize(tokenizer, [scale(60), scale(60, bars=80), song()])
    names = [tokenizer[int(token)] for token in window(tokenizer, lied)[:6]]
    assert names[:4] == ["Style_Lied", "Mode_Minor", "Tempo_Slow", "Scoring_VoicePiano"]
    assert names[4:] == ["BOS_None", "Bar_None"]
    assert tokenizer[int(window(tokenizer, reel)[2])] == "Tempo_Any"
    assert np.array_equal(window(tokenizer, reel), complete(tokenizer, reel))
    rng = np.random.default_rng(0)
    windows = [window(tokenizer, long, rng) for _ in range(50)]
    firsts = [tokenizer[int(ids[len(CONTROLS)])] for ids in windows]
    assert set(firsts) == {"BOS_None", "Bar_None"}
    assert all(CONTEXT // 2 < len(ids) <= CONTEXT for ids in windows)
    styles = {tokenizer[int(ids[0])] for ids in windows}
    assert styles == {"Style_Reel", "Style_Any"}


def test_windows_grow_to_the_whole_context_towards_the_end() -> None:
    tokenizer = build_tokenizer()
    corpus = tokenize(tokenizer, [scale(60, bars=80)])

    class Late(Budget):
        progress = 0.9

    longest = [
        next(plan_batches(tokenizer, corpus, 1024, budget, np.random.default_rng(0))).shape[1] - 1
        for budget in (Budget(1), Late(1))
    ]
    assert longest == [512, CONTEXT]


def test_bars_are_cut_before_each_line() -> None:
    tokenizer = build_tokenizer()
    [piece] = tokenize(tokenizer, [song()])
    bars = split_bars(tokenizer, piece.ids)
    assert len(bars) == 8
    assert sum(bars, []) == piece.ids.tolist()  # noqa: RUF017
    assert {bar[0] for bar in bars} == {tokenizer["Bar_None"]}
