"""Train the tune model, a small Llama over note tokens, on old tunes, chorales and songs.

    python -m training.train_music --minutes 70 --threads 1 --bfloat16 --compile

reads the pieces of ``training/music_data.py`` (``--data PATH`` names a copy of the OpenScore Lieder
Corpus; the first run parses everything, which takes some minutes) and writes a ``LlamaForCausalLM``
(Touvron et al. 2023) with its REMI tokenizer to ``models/music-tunes``, together with the hashes
that are used to detect copies (``shared/tunes/copying.py``). The tokens are documented in
``shared/tunes/tokens.py``. Leave out ``--bfloat16`` on a processor without AVX512_BF16 or AMX, and
``--compile`` without a C++ compiler. ``training/evaluate_music.py`` measures the result.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import torch
import torch.nn.functional as F
from miditok import REMI
from transformers import LlamaForCausalLM

from shared.devices import pick_device
from shared.tunes.controls import ANY
from shared.tunes.copying import CopyGuard
from shared.tunes.tokens import (
    CONTROLS,
    TOKENIZER_FILE,
    build_tokenizer,
    name_controls,
    pace_of,
    score_to_ids,
    scoring_of,
)
from training.common import Budget, TrainingRun, count_parameters, parse_arguments
from training.llama import (
    apply_dropout,
    build_llama,
    build_optimizers,
    save_weights,
    train_llama,
)
from training.music_data import SOURCE, load_tunes, split_tunes
from training.music_pieces import Tune, tune_to_score

CONTEXT = 768  # tokens per window; nearly every tune and chorale is shorter
# Shorter windows are cheaper; only the last part of the training uses full contexts.
SHORT, LONG_SHARE = 512, 0.3
HIDDEN = 0.15  # probability that a control is hidden in a window, independently for each
CROP = 0.2  # share of windows of short pieces that start in the middle
SONG_SHARE = 0.4  # share of a piece longer than a window that is used per epoch
EVALUATIONS = 10
SPECIAL = ("bos", "eos", "pad")
IGNORED = -100  # label that the loss ignores
STEP = 64  # lengths are rounded up to a multiple, to compile few shapes


@dataclass(frozen=True)
class TokenTune:
    """A piece as tokens: its control values, and its ids from the first Bar to the last note."""

    said: dict[str, str]
    ids: np.ndarray


def tokenize(tokenizer: REMI, tunes: Sequence[Tune]) -> list[TokenTune]:
    """Turn pieces into tokens. Unknown controls are ``ANY``."""
    return [
        TokenTune(
            said={
                "Style": tune.style,
                "Mode": tune.mode,
                "Tempo": pace_of(tune.tempo, tune.meter) if tune.tempo else ANY,
                "Scoring": scoring_of(tune.style),
            },
            ids=np.array(score_to_ids(tokenizer, tune_to_score(tune))),
        )
        for tune in tunes
    ]


def split_bars(tokenizer: REMI, ids: np.ndarray) -> list[list[int]]:
    """Split tokens before each bar line."""
    return [bar.tolist() for bar in np.split(ids, np.flatnonzero(ids == tokenizer["Bar_None"])[1:])]


def build_model(tokenizer: REMI, *, width: int = 256, layers: int = 4) -> LlamaForCausalLM:
    """Build the untrained model."""
    return build_llama(
        len(tokenizer),
        CONTEXT,
        width=width,
        layers=layers,
        special={f"{name}_token_id": tokenizer[f"{name.upper()}_None"] for name in SPECIAL},
        sampling={"temperature": 0.9, "top_p": 0.95},
    )


def complete(tokenizer: REMI, tune: TokenTune) -> np.ndarray:
    """Return a whole piece, (N,): its controls, BOS, its tokens and EOS."""
    head = [*name_controls(tokenizer, tune.said), tokenizer["BOS_None"]]
    return np.concatenate([head, tune.ids, [tokenizer["EOS_None"]]])


def window(
    tokenizer: REMI,
    tune: TokenTune,
    rng: np.random.Generator | None = None,
    length: int = CONTEXT,
) -> np.ndarray:
    """Cut one training window of up to ``length`` tokens: controls, then BOS or a middle bar.

    With ``rng``, controls are hidden at random, and some windows start at a later bar. That teaches
    the model to continue when the beginning of a long piece is no longer in its context.
    """
    said = tune.said
    body = np.array([tokenizer["BOS_None"], *tune.ids, tokenizer["EOS_None"]])
    if rng is not None:
        said = {kind: value for kind, value in said.items() if rng.random() >= HIDDEN}
        room = length - len(CONTROLS)
        bars = np.flatnonzero(body == tokenizer["Bar_None"])
        if len(body) > room:
            # All starts are equally likely, and a window has at least about half its length.
            starts = np.concatenate([[0], bars[bars <= len(body) - room // 2]])
            body = body[rng.choice(starts) :]
        elif rng.random() < CROP:
            body = body[rng.choice(bars[: len(bars) // 2 + 1]) :]
    return np.concatenate([name_controls(tokenizer, said), body])[:length]


def batches(
    tokenizer: REMI,
    tunes: Sequence[TokenTune],
    tokens_per_batch: int,
    rng: np.random.Generator,
    length: int = CONTEXT,
) -> Iterator[torch.Tensor]:
    """Yield batches without end, padded to the longest, (B, T), int64.

    An epoch has one window of each tune, and of longer pieces as many windows as cover
    ``SONG_SHARE`` of them. Windows of similar length are batched together, to reduce padding.
    """
    pad = tokenizer["PAD_None"]
    times = [max(1, round(SONG_SHARE * len(tune.ids) / length)) for tune in tunes]
    while True:
        windows = [
            window(tokenizer, tune, rng, length)
            for tune, count in zip(tunes, times, strict=True)
            for _ in range(count)
        ]
        windows.sort(key=lambda ids: len(ids) + rng.integers(32))
        groups: list[list[np.ndarray]] = [[]]
        for ids in windows:
            if groups[-1] and len(ids) * (len(groups[-1]) + 1) > tokens_per_batch:
                groups.append([])
            groups[-1].append(ids)
        for index in rng.permutation(len(groups)):
            yield pad_windows(groups[index], pad)


def pad_windows(windows: Sequence[np.ndarray], pad: int) -> torch.Tensor:
    """Stack windows of different lengths, (B, T), padded on the right."""
    longest = -(-(max(map(len, windows)) - 1) // STEP) * STEP + 1  # the last token is only a label
    batch = torch.full((len(windows), longest), pad)
    for row, ids in zip(batch, windows, strict=True):
        row[: len(ids)] = torch.from_numpy(ids)
    return batch


def plan_batches(
    tokenizer: REMI,
    tunes: Sequence[TokenTune],
    tokens_per_batch: int,
    budget: Budget,
    rng: np.random.Generator,
) -> Iterator[torch.Tensor]:
    """Yield batches of short windows, and of full contexts in the last part of the budget."""
    short = batches(tokenizer, tunes, tokens_per_batch, rng, SHORT)
    long = batches(tokenizer, tunes, tokens_per_batch, rng, CONTEXT)
    while True:
        yield next(long if budget.progress > 1 - LONG_SHARE else short)


def next_token_loss(
    model: LlamaForCausalLM, batch: torch.Tensor, reduction: str = "mean"
) -> torch.Tensor:
    """Return the cross-entropy in nats after the control tokens, without padding."""
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits  # (B, T - 1, V)
    pad: Any = model.config.pad_token_id
    labels = batch[:, 1:].masked_fill(batch[:, 1:].eq(pad), IGNORED)
    labels[:, : len(CONTROLS) - 1] = IGNORED
    return F.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction=reduction
    )


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokenizer: REMI, tunes: Sequence[TokenTune]) -> float:
    """Return the held-out loss in nats per token, on the first window of each piece."""
    model.eval()
    windows = sorted((window(tokenizer, tune) for tune in tunes), key=len)
    total = 0.0
    for first in range(0, len(windows), 8):
        batch = pad_windows(windows[first : first + 8], tokenizer["PAD_None"])
        total += next_token_loss(model, batch.to(model.device), "sum").item()
    model.train()
    return total / sum(len(ids) - len(CONTROLS) for ids in windows)


def export(model: LlamaForCausalLM, tokenizer: REMI, folder: Path) -> None:
    """Write the weights as float16 with the tokenizer; load with ``dtype=torch.float32``."""
    save_weights(model, folder)
    tokenizer.save(folder / TOKENIZER_FILE)


def main() -> None:
    """Train until the minutes are over, keeping the weights with the lowest held-out loss."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/music-tunes", minutes=70, add=_add_arguments
    )
    device = pick_device(arguments.device)
    torch.set_flush_denormal(True)
    tokenizer = build_tokenizer()
    tunes, left_out = load_tunes(arguments.data)
    train_tunes, held_out_tunes = split_tunes(tunes)
    train, held_out = tokenize(tokenizer, train_tunes), tokenize(tokenizer, held_out_tunes)
    CopyGuard.build(split_bars(tokenizer, tune.ids) for tune in train).save(arguments.out)
    model = build_model(tokenizer, width=arguments.width, layers=arguments.layers)
    model.to(device)  # type: ignore[arg-type]
    optimizers = build_optimizers(model)
    data = {
        "source": "music21: Aird, Ryan, O'Neill and Bach's chorales; OpenScore Lieder",
        "pieces_left_out": dict(left_out.most_common()),
        "training_pieces": dict(Counter(tune.style for tune in train_tunes)),
        "held_out_pieces": dict(Counter(tune.style for tune in held_out_tunes)),
        "resembling_held_out": len(tunes) - len(train) - len(held_out),
        "training_tokens": sum(len(tune.ids) for tune in train),
    }
    run = TrainingRun(arguments, device, {"model": model, "optimizers": optimizers}, data)
    train_losses = deque[float](maxlen=200)

    def export_if_best() -> None:
        nats = evaluate(model, tokenizer, held_out)
        mean = sum(train_losses) / max(1, len(train_losses))
        print(f"\nstep {run.budget.step}: train {mean:.3f}, held-out {nats:.3f} nats/token")
        metrics = {"held_out_nats_per_token": nats, "train": mean}
        if not run.add_evaluation("held_out_nats_per_token", metrics):
            return
        export(model, tokenizer, arguments.out)
        run.write_record(
            model="LlamaForCausalLM",
            tokens_per_batch=arguments.tokens_per_batch,
            windows=[SHORT, CONTEXT],
            dropout=arguments.dropout,
            parameters=count_parameters(model),
            metrics={"held_out_nats_per_token": nats},
        )

    rng = np.random.default_rng(arguments.seed + run.budget.step)
    losses = train_llama(
        "tunes",
        model,
        torch.compile(next_token_loss, dynamic=True) if arguments.compile else next_token_loss,
        optimizers,
        plan_batches(tokenizer, train, arguments.tokens_per_batch, run.budget, rng),
        run.budget,
        learning_rate=arguments.learning_rate,
        bfloat16=arguments.bfloat16,
        max_steps=arguments.max_steps,
    )
    with apply_dropout(model, arguments.dropout):
        run.follow(losses, train_losses.append, export_if_best, EVALUATIONS)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=SOURCE, help="folder or zip file of the lieder (*.mxl)"
    )
    parser.add_argument("--tokens-per-batch", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=4e-3)
    parser.add_argument("--dropout", type=float, default=0.05)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler")
    parser.add_argument("--width", type=int, default=256, help="hidden size, a multiple of 64")
    parser.add_argument("--layers", type=int, default=4)


if __name__ == "__main__":
    main()
