"""Measure music/tunes on held-out pieces, and compare the pieces that it writes with them.

    python -m training.evaluate_music [--data PATH] [--json]
    python -m training.evaluate_music --out models/music-tunes/evaluation.json

* ``nll_model``, ``nll_markov4``, ``nll_lstm``: negative log-likelihood of the held-out pieces in
  nats per note, bar lines included, for the model, for a Kneser-Ney Markov chain with a context of
  four of the same tokens, and for a small LSTM that is trained here on the same windows. Lower is
  better.
* 200 pieces are generated as the page does it, one for each of 200 held-out pieces with its style,
  mode, meter and, if it is a song, tempo, in a random key. The first 32 bars of both are measured.
* ``in_key``: share of notes within the scale of the requested mode. ``bar_errors``: bars whose
  notes and rests do not add up. ``longest_copy_bars``: most consecutive bars that are identical,
  note for note, to one training piece. Passages of three bars that are in three or more pieces are
  common stock and do not count, nor do the last bars of training pieces.
* ``control_accuracy``: share of controls that were followed: key, mode, meter, tempo and style.
  The style is judged by a classifier, which makes errors on real pieces too: ``style_judge`` is its
  accuracy there.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import chain, islice
from pathlib import Path
from threading import Event
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import torch
from tqdm import tqdm

from shared.catalog import Placement, load_tune_model
from shared.sampling import SampledToken, Sampling
from shared.settings import ROOT
from shared.tunes.compose import TuneModel, write_tune
from shared.tunes.controls import ANY, QUARTERS_PER_MINUTE, TuneControls
from shared.tunes.tokens import ids_to_score, meter_of
from training import music_metrics as metrics
from training.common import Budget, count_parameters, describe_hardware, flatten
from training.music_baselines import measure_lstm, measure_markov, measure_model, train_lstm
from training.music_data import SOURCE, load_tunes, split_tunes
from training.music_pieces import Tune
from training.music_styles import StyleJudge
from training.train_music import TokenTune, tokenize

PIECES, BARS = 200, 32
UNGUARDED = 50  # of the pieces are generated again without the copy guard
AT_ONCE = 16
ORDER = 4  # context of the Markov chain in tokens
SAMPLING = Sampling(temperature=0.9, top_p=0.95)  # the gallery's defaults


@dataclass(frozen=True)
class Written:
    """A generated piece.

    Attributes:
        controls: The requested controls.
        tune: The result, transposed back to C.
        tempo: Tempo of the result, in quarter notes per minute.
        meters: The meter of each bar.
        finished: Whether the model ended it within ``BARS`` bars.
    """

    controls: TuneControls
    tune: Tune
    tempo: float
    meters: list[str]
    finished: bool


def ask_like(tune: Tune, rng: np.random.Generator) -> TuneControls:
    """Return controls for a piece like ``tune``, in a random key."""
    style = None if tune.style == ANY else tune.style
    return TuneControls(
        style=style,
        mode=tune.mode,
        meter=tune.meter,
        tonic=int(rng.integers(12)),
        tempo=tune.tempo or QUARTERS_PER_MINUTE[style or ANY],
    )


def write_pieces(tune_model: TuneModel, requests: Sequence[TuneControls]) -> list[Written]:
    """Generate one piece for each request, the first with seed 1, the second with seed 2 and so on.

    ``AT_ONCE`` pieces are written bar by bar in turn, so that the engine can batch them.
    """
    writing = deque[tuple[int, Iterator[list[SampledToken]], list[list[int]]]]()
    waiting = enumerate(tqdm(requests, unit="piece", mininterval=5))
    done = dict[int, Written]()
    while len(done) < len(requests):
        for number, controls in islice(waiting, AT_ONCE - len(writing)):
            rng = torch.Generator("cpu").manual_seed(number + 1)
            bars = write_tune(tune_model, controls, SAMPLING, rng, Event())
            writing.append((number, bars, []))
        number, bars, written = writing.popleft()
        bar = next(bars, None) if len(written) < BARS else None
        if bar is None:
            done[number] = read_piece(tune_model.tokenizer, requests[number], written)
        else:
            written.append([token.id for token in bar])
            writing.append((number, bars, written))
    return [done[number] for number in range(len(requests))]


def read_piece(tokenizer: Any, controls: TuneControls, bars: list[list[int]]) -> Written:
    """Turn bars of tokens into a score as the page does, and transpose it back to C."""
    score = ids_to_score(tokenizer, list(chain.from_iterable(bars)), controls)
    for track in score.tracks:
        track.shift_pitch(-controls.transposition, inplace=True)
    tune = metrics.score_to_tune(
        score, style=controls.style or ANY, mode=controls.mode or ANY, meter=controls.meter or ANY
    )
    return Written(
        controls=controls,
        tune=tune,
        tempo=score.tempos[0].qpm,
        meters=[meter_of(tokenizer, bar) for bar in bars],
        finished=len(bars) < BARS,
    )


def predict(
    tune_model: TuneModel,
    train: Sequence[TokenTune],
    held_out: Sequence[TokenTune],
    tunes: Sequence[Tune],
    minutes: float,
) -> dict[str, Any]:
    """Measure how well the model and the baselines predict the held-out pieces, in nats per note.

    Args:
        tune_model: The model.
        train: Training pieces of the baselines.
        held_out: Pieces to predict.
        tunes: The same pieces with their notes.
        minutes: Training time of the LSTM.
    """
    tokenizer: Any = tune_model.tokenizer
    budget = Budget(minutes)
    lstm = train_lstm(tokenizer, train, budget)
    trained_for = budget.minutes_spent
    nats = {
        "model": measure_model(tokenizer, tune_model.model, held_out, tune_model.context),
        f"markov{ORDER}": measure_markov(tokenizer, train, held_out, ORDER),
        f"markov{2 * ORDER}": measure_markov(tokenizer, train, held_out, 2 * ORDER),
        "lstm": measure_lstm(tokenizer, lstm, held_out),
    }
    notes = np.array([len(tune.notes) + len(tune.voice) for tune in tunes])
    kinds = np.array([kind_of(tune) for tune in tunes])
    return {
        **{f"nll_{name}": _round(each.sum() / notes.sum()) for name, each in nats.items()},
        "lstm_parameters": count_parameters(lstm),
        "lstm_steps": budget.step,
        "lstm_minutes": round(trained_for, 1),
        "held_out_pieces": len(tunes),
        "held_out_notes": int(notes.sum()),
        "held_out_tokens": int(sum(len(tune.ids) + 1 for tune in held_out)),
        "nll_by_kind": {
            kind: {"pieces": int((kinds == kind).sum()), "notes": int(notes[kinds == kind].sum())}
            | {
                name: _round(each[kinds == kind].sum() / notes[kinds == kind].sum())
                for name, each in nats.items()
            }
            for kind in dict.fromkeys(kinds.tolist())
        },
    }


def kind_of(tune: Tune) -> str:
    """Return "songs", "chorales" or "tunes"."""
    return {"Lied": "songs", "Chorale": "chorales"}.get(tune.style, "tunes")


def check_controls(pieces: Sequence[Written], judge: StyleJudge) -> dict[str, Any]:
    """Return how often each control was followed."""
    styled = [piece for piece in pieces if piece.controls.style]
    shares = {
        "key": np.mean([metrics.has_key(piece.tune, piece.tune.mode) for piece in pieces]),
        "mode": np.mean([metrics.has_mode(piece.tune, piece.tune.mode) for piece in pieces]),
        "meter": np.mean([set(piece.meters) == {piece.controls.meter} for piece in pieces]),
        "tempo": np.mean([round(piece.tempo) == piece.controls.tempo for piece in pieces]),
        "style": np.mean([judge.tell(piece.tune)[0] == piece.controls.style for piece in styled]),
    }
    return {"control_accuracy": _round(np.mean(list(shares.values())))} | {
        f"{name}_right": _round(share) for name, share in shares.items()
    }


def describe(tunes: Sequence[Tune], copies: metrics.CopyIndex) -> dict[str, Any]:
    """Measure pieces, generated or real; the figures are means over pieces or bars."""
    repetition = [metrics.measure_repetition(tune) for tune in tunes]
    notes = [metrics.all_notes(tune) for tune in tunes]
    bars = [metrics.list_bars(tune) for tune in tunes]
    copied = [copies.longest(each) for each in bars]
    stock = [copies.longest(each, common=True) for each in bars]
    in_scale = [
        np.isin(each[:, 2] % 12, metrics.SCALES[tune.mode])
        for each, tune in zip(notes, tunes, strict=True)
    ]
    return {
        "in_key": _round(np.concatenate(in_scale).mean()),
        "key_right": _round(np.mean([metrics.has_key(tune, tune.mode) for tune in tunes])),
        "mode_right": _round(np.mean([metrics.has_mode(tune, tune.mode) for tune in tunes])),
        "bar_errors": sum(map(metrics.count_bar_errors, tunes)),
        "bars": sum(map(len, bars)),
        "notes_per_bar": _round(sum(map(len, notes)) / sum(map(len, bars))),
        "melody_range": _round(np.mean([np.ptp(tune.melody[:, 2]) for tune in tunes])),
        "repeated_bars": _round(np.mean([each["repeated_bars"] for each in repetition])),
        "self_similarity": {
            lag: _round(np.mean([each[lag] for each in repetition if lag in each]))
            for lag in (f"lag_{number}" for number in metrics.LAGS)
            if any(lag in each for each in repetition)
        },
        "longest_copy_bars": max(copied),
        "mean_copy_bars": _round(np.mean(copied)),
        "longest_copy_bars_with_common_stock": max(stock),
    }


def compare_habits(some: Sequence[Tune], others: Sequence[Tune]) -> dict[str, float]:
    """Return the overlap of interval and rhythm histograms of two sets of pieces, 0 to 1."""
    found = {}
    for name, count in (
        ("interval", metrics.count_intervals),
        ("rhythm", metrics.count_rhythms),
    ):
        found[f"{name}_overlap"] = _round(metrics.overlap(count(some), count(others)))
    return found


def evaluate(folder: Path, source: Path, *, minutes: float, pieces: int) -> dict[str, Any]:
    """Measure everything; scalars come first, then tables."""
    tune_model = load_tune_model(folder, Placement(torch.device("cpu"), torch.float32))
    tokenizer: Any = tune_model.tokenizer
    tunes, _ = load_tunes(source)
    train, held_out = split_tunes(tunes)
    copies = metrics.CopyIndex(metrics.list_bars(tune) for tune in train)
    judge = StyleJudge(train)
    rng = np.random.default_rng(0)
    chosen = [held_out[number] for number in rng.permutation(len(held_out))[:pieces]]
    requests = [ask_like(tune, rng) for tune in chosen]
    written = write_pieces(tune_model, requests)
    unguarded = write_pieces(replace(tune_model, guard=None), requests[:UNGUARDED])
    new, real = [piece.tune for piece in written], [metrics.cut(tune, BARS) for tune in chosen]
    fresh = [metrics.cut(train[n], BARS) for n in rng.permutation(len(train))[: len(real)]]
    table = {"generated": describe(new, copies), "held_out": describe(real, copies)}
    lags = [one["self_similarity"] for one in table.values()]
    gaps = [abs(lags[0][lag] - lags[1][lag]) for lag in lags[0] if lag in lags[1]]
    figures = predict(
        tune_model, tokenize(tokenizer, train), tokenize(tokenizer, held_out), held_out, minutes
    )
    return {
        **figures,
        "in_key": table["generated"]["in_key"],
        "bar_errors": table["generated"]["bar_errors"]
        + sum(meter != piece.controls.meter for piece in written for meter in piece.meters),
        **check_controls(written, judge),
        "style_judge": _round(judge.accuracy(held_out)),
        "longest_copy_bars": table["generated"]["longest_copy_bars"],
        "longest_copy_bars_unguarded": max(
            copies.longest(metrics.list_bars(piece.tune)) for piece in unguarded
        ),
        "generated_pieces": len(written),
        "finished": _round(np.mean([piece.finished for piece in written])),
        **compare_habits(new, real),
        **{f"{name}_of_training": each for name, each in compare_habits(fresh, real).items()},
        "self_similarity_gap": _round(np.mean(gaps)),
        "parameters": count_parameters(tune_model.model),
        "hardware": describe_hardware(torch.device("cpu")),
        **table,
        "habits_by_kind": {
            kind: compare_habits(*([t for t in side if kind_of(t) == kind] for side in (new, real)))
            for kind in dict.fromkeys(map(kind_of, real))
        },
        "sampling": {"temperature": SAMPLING.temperature, "top_p": SAMPLING.top_p},
    }


def _round(value: Any) -> float:
    return round(float(value), 4)


def main() -> None:
    """Measure and print all figures; with ``--json`` as one flat object on one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SOURCE, help="the songs, as for training")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "music-tunes")
    parser.add_argument("--lstm-minutes", type=float, default=5, help="training time of the LSTM")
    parser.add_argument("--pieces", type=int, default=PIECES, help="how many to write")
    parser.add_argument("--json", action="store_true", help="print one flat JSON object only")
    parser.add_argument("--out", type=Path, help="also write all figures to this file")
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # libraries print loading messages
        figures = evaluate(
            arguments.model,
            arguments.data,
            minutes=arguments.lstm_minutes,
            pieces=arguments.pieces,
        )
    words = [word.replace(f"{ROOT}/", "") for word in sys.argv[1:]]
    record = {
        "command": " ".join(["python -m training.evaluate_music", *words]),
        "versions": {name: version(name) for name in ("torch", "transformers", "miditok")},
        **figures,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(flatten(figures)) if arguments.json else text)


if __name__ == "__main__":
    main()
