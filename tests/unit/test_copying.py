"""The guard against copies: what it knows, what it lets pass, and tunes written under it."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import Event

import torch

from shared.sampling import Sampling
from shared.tunes.compose import TuneModel, write_bars, write_tune
from shared.tunes.controls import TuneControls
from shared.tunes.copying import FILE, CopyGuard
from shared.tunes.tokens import meter_of

JIG = TuneControls(style="Jig", mode="Major", meter="6/8")
PIECE = [[0, number, 7, 9] for number in range(8)]


def write(tune_model: TuneModel, begun: list[list[int]], seed: int, bars: int) -> list[list[int]]:
    """Write bars after ``begun``; the guard has nothing to say about a first tune's first two."""
    rng = torch.Generator("cpu").manual_seed(seed)
    tune = write_tune(tune_model, JIG, Sampling(0.9), rng, Event(), begun)
    return [[token.id for token in bar] for bar in islice(tune, bars)]


def test_a_planted_copy_is_found_and_other_bars_are_not() -> None:
    guard = CopyGuard.build([PIECE])
    assert guard.copies([[5, 5], *PIECE[2:5]])
    assert not guard.copies([*PIECE[2:4], [5, 5]])
    assert not guard.copies([PIECE[2], PIECE[4], PIECE[3]])
    assert not guard.copies(PIECE[2:4])


def test_common_stock_and_cadences_pass() -> None:
    stock = PIECE[:4]
    pieces = [[*stock, [50 + number], [60 + number], [70 + number]] for number in range(3)]
    guard = CopyGuard.build(pieces)
    assert not guard.copies(stock[:3])
    assert guard.copies([stock[3], [50], [60]])
    assert not guard.copies([[50], [60], [70]])
    assert CopyGuard.build(pieces[:2]).copies(stock[:3])


def test_a_guard_is_kept_as_hashes_beside_the_weights(tmp_path: Path) -> None:
    assert CopyGuard.load(tmp_path) is None
    CopyGuard.build([PIECE]).save(tmp_path)
    loaded = CopyGuard.load(tmp_path)
    assert loaded is not None
    assert loaded.copies(PIECE[:3])
    assert not loaded.copies([[1], [2], [3]])
    assert (tmp_path / FILE).stat().st_size < 1000


def test_a_bar_that_would_complete_a_copy_is_drawn_again(tune_model: TuneModel) -> None:
    opening = write(tune_model, [], seed=8, bars=2)
    [free] = write(tune_model, opening, seed=2, bars=1)
    assert len(free) > 3  # no bar of rests, which could not be another
    guarded = replace(tune_model, guard=CopyGuard.build([[*opening, free, [1]]]))
    [other] = write(guarded, opening, seed=2, bars=1)
    assert other != free
    assert write(guarded, opening, seed=2, bars=1) == [other]


def test_a_tune_that_can_only_copy_ends(tune_model: TuneModel) -> None:
    class Strict(CopyGuard):
        def copies(self, bars: object) -> bool:
            return True

    opening = write(tune_model, [], seed=1, bars=2)
    strict = replace(tune_model, guard=Strict(CopyGuard.build([PIECE]).hashes))
    assert write(strict, opening, seed=2, bars=5) == []


def test_bars_go_on_from_those_that_are_given(tune_model: TuneModel) -> None:
    begun = write(tune_model, [], seed=3, bars=30)
    rng = torch.Generator("cpu").manual_seed(4)
    any_meter = replace(JIG, meter=None)
    new = islice(write_bars(tune_model, any_meter, Sampling(), rng, Event(), begun), 6)
    bars = list(new)
    assert {meter_of(tune_model.tokenizer, bar.ids) for bar in bars} == {"6/8"}
    assert bars[0].tune == 1
    assert bars[0].ids not in begun


def test_a_seed_writes_the_same_alone_and_beside_others(tune_model: TuneModel) -> None:
    def start(seed: int) -> list[list[int]]:
        rng = torch.Generator("cpu").manual_seed(seed)
        bars = write_bars(tune_model, JIG, Sampling(0.9), rng, Event())
        return [bar.ids for bar in islice(bars, 12)]

    alone = start(5)
    rng = torch.Generator("cpu").manual_seed(6)
    other = write_bars(tune_model, JIG, Sampling(0.9), rng, Event())
    next(other)  # stays in the middle of a sequence
    assert start(5) == alone
