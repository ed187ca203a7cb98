"""Train the storyteller, a small Llama on children's classics and poems.

    python -m training.train_text --minutes 80 --threads 1

reads ``book*.txt`` and ``poem*.txt`` from ``.cache/training/text/source``, or from ``--data PATH``
(see ``training/text_data.py``; add ``--bfloat16`` on a CPU with AVX-512 BF16). It makes a
byte-level BPE tokenizer and a ``LlamaForCausalLM`` (Touvron et al. 2023), and writes both to
``models/text-storyteller`` in transformers format, so that ``AutoTokenizer`` and
``AutoModelForCausalLM`` load them as any other checkpoint.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import cast

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import torch
import torch.nn.functional as F
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from shared.devices import pick_device
from training.common import Budget, TrainingRun, count_parameters, parse_arguments
from training.llama import (
    apply_dropout,
    build_llama,
    build_optimizers,
    save_weights,
    train_llama,
)
from training.text_data import SEPARATOR, SOURCE, TokenData, load_tokens

CONTEXT = 512  # tokens
# Shorter windows are cheaper; the last part of a training uses whole contexts.
SHORT, LONG_SHARE = 256, 0.25
EVALUATIONS = 10
GLANCE = 60_000  # held-out tokens of an evaluation; all would take a minute
PROMPTS = (
    "Once upon a time there was a little monster who",
    '"Where are you going?" said the fox. "',
    "The Cat and the Moon\n\n",
)


def build_model(vocabulary: int, end: int, *, width: int, layers: int) -> LlamaForCausalLM:
    """Build the untrained model; ``end`` is the only special token."""
    return build_llama(
        vocabulary,
        CONTEXT,
        width=width,
        layers=layers,
        special={"bos_token_id": end, "eos_token_id": end, "pad_token_id": end},
        sampling={"temperature": 0.8, "top_k": 40, "max_new_tokens": 200},
    )


def wrap_tokenizer(data: TokenData) -> PreTrainedTokenizerFast:
    """Wrap the tokenizer for ``AutoTokenizer``; decoding returns the exact text."""
    return PreTrainedTokenizerFast(
        tokenizer_object=data.tokenizer,
        bos_token=SEPARATOR,
        eos_token=SEPARATOR,
        pad_token=SEPARATOR,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def batches(tokens: np.ndarray, size: int, length: int, seed: int) -> Iterator[torch.Tensor]:
    """Yield shuffled windows endlessly, (B, length + 1), int64.

    Each pass cuts the stream at another offset, so that it has every token once and the borders
    move. A short stream gives smaller batches.
    """
    rng = np.random.default_rng(seed)
    length = min(length, len(tokens) - 1)
    while True:
        last = len(tokens) - length - 1
        starts = np.arange(rng.integers(min(length, last + 1)), last + 1, length)
        rng.shuffle(starts)
        for first in range(0, max(1, len(starts) - size + 1), size):
            windows = [tokens[start : start + length + 1] for start in starts[first : first + size]]
            yield torch.from_numpy(np.stack(windows).astype(np.int64))


def next_token_loss(model: LlamaForCausalLM, windows: torch.Tensor) -> torch.Tensor:
    """Mean cross-entropy in nats per token of ``windows``, (B, T + 1)."""
    logits = model(input_ids=windows[:, :-1], use_cache=False).logits  # (B, T, V)
    return F.cross_entropy(logits.float().flatten(0, 1), windows[:, 1:].flatten())


@torch.no_grad()
def evaluate(model: LlamaForCausalLM, tokens: np.ndarray) -> float:
    """Mean loss in nats per token, over consecutive windows of the whole stream."""
    model.eval()
    length = min(CONTEXT, len(tokens) - 1)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length + 1)[::length]
    losses = [
        next_token_loss(model, torch.from_numpy(window.astype(np.int64))[None].to(model.device))
        for window in windows
    ]
    model.train()
    return torch.stack(losses).mean().item()


def plan_windows(
    tokens: np.ndarray, size: int, lengths: tuple[int, int], budget: Budget, seed: int
) -> Iterator[torch.Tensor]:
    """Yield batches of ``size`` short windows; in the last part, as many tokens in long ones."""
    short, long = lengths
    few = batches(tokens, max(1, size * short // long), long, seed)
    many = batches(tokens, size, short, seed)
    while True:
        yield next(few if budget.progress > 1 - LONG_SHARE else many)


def export(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write the weights as float16, in small files, with a config that loads them as float32."""
    save_weights(model, folder)
    tokenizer.save_pretrained(folder)


@torch.no_grad()
def write_samples(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, seed: int
) -> list[str]:
    """Continue each of ``PROMPTS`` by up to 70 tokens, with its own random state."""
    model.eval()
    samples = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for prompt in PROMPTS:
            inputs = tokenizer(prompt, return_tensors="pt", return_token_type_ids=False)
            output = cast(
                torch.Tensor,
                model.generate(**inputs.to(model.device), max_new_tokens=70),  # type: ignore[misc]
            )
            samples += tokenizer.batch_decode(output, skip_special_tokens=True)
    model.train()
    return samples


def main() -> None:
    """Train, and export the weights with the lowest held-out loss."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/text-storyteller", minutes=40, add=_add_arguments
    )
    device = pick_device(arguments.device)
    lengths = (arguments.context, max(arguments.context, CONTEXT))
    torch.set_flush_denormal(True)
    data = load_tokens(arguments.data)
    tokenizer = wrap_tokenizer(data)
    model = build_model(
        len(tokenizer), tokenizer.eos_token_id, width=arguments.width, layers=arguments.layers
    )
    model.to(device)  # type: ignore[arg-type]
    optimizers = build_optimizers(model)
    run = TrainingRun(arguments, device, {"model": model, "optimizers": optimizers}, data.facts)
    train_losses = deque[float](maxlen=200)

    def export_if_best() -> None:
        held_out = evaluate(model, data.held_out[:GLANCE])
        train = sum(train_losses) / max(1, len(train_losses))
        print(f"\nstep {run.budget.step}: train {train:.3f}, held-out {held_out:.3f} nats/token")
        metrics = {"held_out_nats_per_token": held_out, "train": train}
        if not run.add_evaluation("held_out_nats_per_token", metrics):
            return
        export(model, tokenizer, arguments.out)
        run.write_record(
            model="LlamaForCausalLM",
            batch=[arguments.batch_size, *lengths],
            dropout=arguments.dropout,
            tokens_seen=run.budget.step * arguments.batch_size * lengths[0],
            training_tokens=len(data.train),
            parameters=count_parameters(model),
            metrics={
                "held_out_nats_per_token": held_out,
                "held_out_perplexity": math.exp(held_out),
                "held_out_tokens": min(GLANCE, len(data.held_out)) - 1,
            },
            samples=write_samples(model, tokenizer, arguments.seed),
        )

    losses = train_llama(
        "storyteller",
        model,
        # Compiling takes half a minute, and then saves a fifth of each step.
        torch.compile(next_token_loss) if arguments.compile else next_token_loss,
        optimizers,
        plan_windows(
            data.train,
            arguments.batch_size,
            lengths,
            run.budget,
            arguments.seed + run.budget.step,
        ),
        run.budget,
        learning_rate=arguments.learning_rate,
        bfloat16=arguments.bfloat16,
        max_steps=arguments.max_steps,
    )
    with apply_dropout(model, arguments.dropout):
        run.follow(losses, train_losses.append, export_if_best, EVALUATIONS)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data",
        type=Path,
        default=SOURCE,
        help="folder with book*.txt (Project Gutenberg texts) and poem*.txt, UTF-8, works "
        "separated by <|endoftext|>",
    )
    parser.add_argument("--batch-size", type=int, default=8, help="windows per step")
    parser.add_argument(
        "--context", type=int, default=SHORT, help="tokens per window until the last part"
    )
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler")
    parser.add_argument("--width", type=int, default=256, help="hidden size")
    parser.add_argument("--layers", type=int, default=5)


if __name__ == "__main__":
    main()
