"""Train the tune model, a small Llama over note tokens, on old tune books and Bach's chorales.

    python -m training.train_music --minutes 40 --threads 1 --bfloat16

reads the tunes that come with music21 (see ``training/music_data.py``; the first run parses them,
which takes some minutes) and writes a ``LlamaForCausalLM`` (Touvron et al. 2023) with its REMI
tokenizer to ``models/music-tunes``. ``shared/tunes/tokens.py`` says what its tokens mean. Leave out
``--bfloat16`` on a processor without AVX512_BF16 or AMX.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import torch
import torch.nn.functional as F
from miditok import REMI
from symusic import Score
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from shared.devices import pick_device
from shared.tunes.controls import TuneControls
from shared.tunes.tokens import (
    TOKENIZER_FILE,
    build_tokenizer,
    control_ids,
    ids_to_score,
    prompt_ids,
    score_to_ids,
)
from training.common import (
    Budget,
    count_parameters,
    describe_hardware,
    load_checkpoint,
    one_cycle,
    parse_arguments,
    save_checkpoint,
    set_learning_rate,
    stop_cleanly,
    write_record,
)
from training.music_data import Tune, load_tunes, split_tunes, tune_to_score

CONTEXT = 512  # tokens a training window holds; nine tunes in ten are shorter
DROP_CONTROL = 0.15  # share of windows in which the style, or the mode, is hidden
CROP = 0.2  # share of windows that start in the middle of a tune
EVALUATIONS = 3
IGNORED = -100  # label that the loss leaves out
SCALES = {
    "Major": (0, 2, 4, 5, 7, 9, 11),
    "Minor": (0, 2, 3, 5, 7, 8, 10, 11),  # natural and harmonic
    "Dorian": (0, 2, 3, 5, 7, 9, 10),
    "Mixolydian": (0, 2, 4, 5, 7, 9, 10),
}
REQUESTS = [
    TuneControls(style=style, mode=mode, meter=meter)
    for style, meter in (
        ("Jig", "6/8"), ("Reel", "4/4"), ("Hornpipe", "4/4"), ("Air", "3/4"), ("Chorale", "4/4"),
    )
    for mode in ("Major", "Minor")
    for _ in range(2)
]  # fmt: skip


@dataclass(frozen=True)
class TokenTune:
    """A tune as tokens: its style and mode, and the ids of its notes from Bar to the last note."""

    style: str
    mode: str
    ids: np.ndarray


def tokenize(tokenizer: REMI, tunes: Sequence[Tune]) -> list[TokenTune]:
    """Turn tunes into tokens."""
    return [
        TokenTune(tune.style, tune.mode, np.array(score_to_ids(tokenizer, tune_to_score(tune))))
        for tune in tunes
    ]


def build_model(tokenizer: REMI, *, width: int = 192, layers: int = 6) -> LlamaForCausalLM:
    """Build the untrained model: heads of 48, SwiGLU of 8/3 the width, tied embeddings."""
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64 * round(width * 8 / 3 / 64),
        num_hidden_layers=layers,
        num_attention_heads=width // 48,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        bos_token_id=tokenizer["BOS_None"],
        eos_token_id=tokenizer["EOS_None"],
        pad_token_id=tokenizer["PAD_None"],
    )
    model = LlamaForCausalLM(config)
    for layer in model.model.layers:  # residual branches start small, as in GPT-2
        for projection in (layer.self_attn.o_proj, layer.mlp.down_proj):
            torch.nn.init.normal_(projection.weight, std=0.02 / math.sqrt(2 * layers))
    return model


def window(tokenizer: REMI, tune: TokenTune, rng: np.random.Generator | None = None) -> np.ndarray:
    """Cut one training window of up to ``CONTEXT`` tokens: controls, then BOS or a middle bar.

    With ``rng`` the controls are sometimes hidden and the window sometimes starts at a later bar,
    which teaches the model to go on when a long tune has slid out of its context.
    """
    style: str | None = tune.style
    mode: str | None = tune.mode
    body = np.array([tokenizer["BOS_None"], *tune.ids, tokenizer["EOS_None"]])
    if rng is not None:
        style = None if rng.random() < DROP_CONTROL else style
        mode = None if rng.random() < DROP_CONTROL else mode
        if rng.random() < (CROP if len(body) + 2 <= CONTEXT else 0.5):
            bars = np.flatnonzero(body == tokenizer["Bar_None"])
            body = body[rng.choice(bars[: len(bars) // 2 + 1]) :]
    return np.concatenate([control_ids(tokenizer, TuneControls(style, mode)), body])[:CONTEXT]


def batches(
    tokenizer: REMI, tunes: Sequence[TokenTune], tokens_per_batch: int, rng: np.random.Generator
) -> Iterator[torch.Tensor]:
    """Yield batches for ever, each tune once a pass, padded to the longest, (B, T), int64.

    Windows of like length go together, so that little of a batch is padding.
    """
    pad = tokenizer["PAD_None"]
    while True:
        windows = [window(tokenizer, tune, rng) for tune in tunes]
        windows.sort(key=lambda ids: len(ids) + rng.integers(32))
        groups: list[list[np.ndarray]] = [[]]
        for ids in windows:
            if groups[-1] and len(ids) * (len(groups[-1]) + 1) > tokens_per_batch:
                groups.append([])
            groups[-1].append(ids)
        for index in rng.permutation(len(groups)):
            yield pad_windows(groups[index], pad)


def pad_windows(windows: Sequence[np.ndarray], pad: int) -> torch.Tensor:
    """Stack windows of different lengths, (B, T), filling up on the right."""
    batch = torch.full((len(windows), max(map(len, windows))), pad)
    for row, ids in zip(batch, windows, strict=True):
        row[: len(ids)] = torch.from_numpy(ids)
    return batch


def next_token_loss(
    model: LlamaForCausalLM, batch: torch.Tensor, reduction: str = "mean"
) -> torch.Tensor:
    """Cross-entropy in nats of everything after the two control tokens; padding does not count."""
    logits = model(input_ids=batch[:, :-1], use_cache=False).logits  # (B, T - 1, V)
    labels = batch[:, 1:].clone()
    pad: Any = model.config.pad_token_id
    labels[labels.eq(pad)] = IGNORED
    labels[:, 0] = IGNORED
    return F.cross_entropy(
        logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction=reduction
    )


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokenizer: REMI, tunes: Sequence[TokenTune]) -> float:
    """Held-out loss in nats per token, from the start of each tune, controls given."""
    model.eval()
    windows = sorted((window(tokenizer, tune) for tune in tunes), key=len)
    total = 0.0
    for first in range(0, len(windows), 8):
        batch = pad_windows(windows[first : first + 8], tokenizer["PAD_None"])
        total += next_token_loss(model, batch.to(model.device), "sum").item()
    model.train()
    return total / sum(len(ids) - 2 for ids in windows)


def train_music(
    model: LlamaForCausalLM,
    optimizer: torch.optim.Optimizer,
    data: Iterator[torch.Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    bfloat16: bool = False,
    max_steps: int | None = None,
) -> Iterator[float]:
    """Yield the loss of each step, in nats per token.

    With ``bfloat16`` the products run in that type; weights and optimizer stay float32.
    """
    model.train()
    for _ in budget.steps("tunes", max_steps):
        set_learning_rate(optimizer, learning_rate * one_cycle(budget.progress))
        batch = next(data).to(model.device)
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
            loss = next_token_loss(model, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        yield loss.item()


def build_optimizer(model: torch.nn.Module, learning_rate: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), decaying matrices only."""
    groups = [
        {"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95), fused=True)


def export(model: LlamaForCausalLM, tokenizer: REMI, folder: Path) -> None:
    """Write the weights as float16 with the tokenizer; load with ``dtype=torch.float32``."""
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.9,
        top_p=0.95,
        bos_token_id=tokenizer["BOS_None"],
        eos_token_id=tokenizer["EOS_None"],
        pad_token_id=tokenizer["PAD_None"],
    )
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    del half["lm_head.weight"]  # tied to the embedding
    model.save_pretrained(folder, state_dict=half)
    tokenizer.save(folder / TOKENIZER_FILE)


@torch.no_grad()
def sample(
    model: LlamaForCausalLM,
    tokenizer: REMI,
    requests: Sequence[TuneControls],
    *,
    seed: int,
    max_tokens: int = CONTEXT,
) -> list[list[int]]:
    """Write one tune per request, all of which name a meter; leaves the global randomness alone."""
    model.eval()
    prompts = torch.tensor([prompt_ids(tokenizer, request) for request in requests])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        tunes: Any = model.generate(  # type: ignore[misc]
            prompts.to(model.device),
            attention_mask=torch.ones_like(prompts).to(model.device),
            max_new_tokens=max_tokens - prompts.shape[1],
        )
    model.train()
    pad = tokenizer["PAD_None"]
    return [[token for token in tune if token != pad] for tune in tunes.tolist()]


def describe_tunes(
    tokenizer: REMI, requests: Sequence[TuneControls], tunes: Sequence[Sequence[int]]
) -> dict[str, float]:
    """Measure what was asked and what came, each as a share from 0 to 1.

    ``notes_in_mode`` counts notes within the scale of the asked mode on C, ``bars_in_meter`` bars
    with the asked signature, ``bars_filled`` inner bars that sound from end to end without a gap,
    ``end_on_key_note`` tunes whose last and lowest note is a C, ``finished`` tunes that said EOS.
    """
    in_mode, in_meter, filled, on_key_note = list[bool](), list[bool](), list[bool](), list[bool]()
    for request, ids in zip(requests, tunes, strict=True):
        score = ids_to_score(tokenizer, ids)
        scale = SCALES[request.mode or "Major"]
        notes = [note for track in score.tracks for note in track.notes]
        in_mode += [note.pitch % 12 in scale for note in notes]
        names = [tokenizer[token] for token in ids]
        in_meter += [name == f"TimeSig_{request.meter}" for name in names if "TimeSig" in name]
        filled += filled_bars(score)
        on_key_note += (
            [min(notes, key=lambda n: (-n.time, n.pitch)).pitch % 12 == 0] if notes else []
        )
    return {
        "notes_in_mode": _share(in_mode),
        "bars_in_meter": _share(in_meter),
        "bars_filled": _share(filled),
        "end_on_key_note": _share(on_key_note),
        "finished": _share([tokenizer["EOS_None"] in ids for ids in tunes]),
    }


def filled_bars(score: Score) -> list[bool]:
    """Say for each bar but the first and the last whether some note sounds all through it."""
    meter = score.time_signatures[0]
    bar = score.ticks_per_quarter * 4 * meter.numerator // meter.denominator
    sounding = np.zeros((math.ceil(score.end() / bar), bar), dtype=bool)
    for track in score.tracks:
        for note in track.notes:
            sounding.reshape(-1)[note.time : note.end] = True
    return [bool(row.all()) for row in sounding[1:-1]]


def _share(answers: Sequence[bool]) -> float:
    """Share of yes among ``answers``; 0 where there are none."""
    return sum(answers) / max(1, len(answers))


def main() -> None:
    """Train until the minutes are over, keeping the weights with the lowest held-out loss."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/music-tunes", minutes=40, add=_add_arguments
    )
    device, out = pick_device(arguments.device), arguments.out
    torch.set_flush_denormal(True)
    tokenizer = build_tokenizer()
    train_tunes, held_out_tunes = split_tunes(load_tunes())
    train, held_out = tokenize(tokenizer, train_tunes), tokenize(tokenizer, held_out_tunes)
    model = build_model(tokenizer, width=arguments.width, layers=arguments.layers)
    model.to(device)  # type: ignore[arg-type]
    optimizer = build_optimizer(model, arguments.learning_rate)
    budget, history = Budget(arguments.minutes), list[dict[str, float]]()
    train_losses = deque[float](maxlen=100)
    if arguments.resume:
        state = load_checkpoint(out, device)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        history = state["history"]
        budget = Budget(arguments.minutes, step=state["step"], minutes_before=state["minutes"])

    def save() -> None:
        save_checkpoint(
            out,
            model=model.state_dict(),
            optimizer=optimizer.state_dict(),
            step=budget.step,
            minutes=budget.minutes_spent,
            history=history,
        )

    def export_if_best() -> None:
        nats = evaluate(model, tokenizer, held_out)
        mean = sum(train_losses) / max(1, len(train_losses))
        history.append({"step": budget.step, "held_out_nats_per_token": nats, "train": mean})
        print(f"\nstep {budget.step}: train {mean:.3f}, held-out {nats:.3f} nats/token")
        best = min(history, key=lambda entry: entry["held_out_nats_per_token"])
        if best is not history[-1]:
            return
        export(model, tokenizer, out)
        tunes = sample(model, tokenizer, REQUESTS, seed=arguments.seed)
        write_record(
            out,
            model="LlamaForCausalLM",
            data={
                "source": "music21: Aird, Ryan, O'Neill and Bach's chorales",
                "training_tunes": len(train),
                "held_out_tunes": len(held_out),
                "training_tokens": sum(len(tune.ids) for tune in train),
            },
            seed=arguments.seed,
            tokens_per_batch=arguments.tokens_per_batch,
            context=CONTEXT,
            learning_rate=arguments.learning_rate,
            steps=budget.step,
            minutes=round(budget.minutes_spent, 1),
            hardware=describe_hardware(device),
            parameters=count_parameters(model),
            metrics={
                "held_out_nats_per_token": nats,
                "sampled_tunes": len(REQUESTS),
                "sampled": describe_tunes(tokenizer, REQUESTS, tunes),
                "held_out": _describe_held_out(tokenizer, held_out_tunes, held_out),
            },
            history=history,
        )

    rng = np.random.default_rng(arguments.seed + budget.step)
    data = batches(tokenizer, train, arguments.tokens_per_batch, rng)
    with stop_cleanly():
        for loss in train_music(
            model,
            optimizer,
            data,
            budget,
            learning_rate=arguments.learning_rate,
            bfloat16=arguments.bfloat16,
            max_steps=arguments.max_steps,
        ):
            train_losses.append(loss)
            if budget.checkpoint_due():
                save()
            if budget.evaluation_due(EVALUATIONS):
                export_if_best()
    export_if_best()
    save()


def _describe_held_out(
    tokenizer: REMI, tunes: Sequence[Tune], tokens: Sequence[TokenTune]
) -> dict[str, float]:
    """Measure the real tunes in the same way, as the figures to compare with."""
    requests = [TuneControls(mode=tune.mode, meter=tune.meter) for tune in tunes]
    end = tokenizer["EOS_None"]
    return describe_tunes(tokenizer, requests, [[*tune.ids.tolist(), end] for tune in tokens])


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tokens-per-batch", type=int, default=2048)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--width", type=int, default=192, help="hidden size, a multiple of 48")
    parser.add_argument("--layers", type=int, default=6)


if __name__ == "__main__":
    main()
