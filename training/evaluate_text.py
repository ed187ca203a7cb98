"""Measure how well text/storyteller predicts authors it never read, beside what only counts.

    python -m training.evaluate_text [--data PATH] [--model-only] [--json]
    python -m training.evaluate_text --out models/text-storyteller/evaluation.json

Everything is in bits per character of the same held-out text (``training/text_data.py``: about a
tenth, whole authors), each document's end counted as one character. Less is better.

* ``bpc_model``: every token is predicted from at least half a context, where there is so much
  before it. ``bpc_model_consecutive`` cuts the text into whole contexts that know nothing of each
  other instead.
* ``bpc_gzip``, ``bpc_xz``: what the text adds to the training text, compressed behind it, or what
  it takes alone, whichever is less. A window of xz holds all of it, one of gzip 32 kB.
* ``bpc_kn5``: Kneser-Ney 5-grams over the model's own tokens. ``bpc_char6``: the same over
  characters, six of them before each. Both count every document once: the model sees poems twice,
  but that misleads the discounts (``bpc_kn5_poems_twice``).
* ``copied``: share of the 8-token sequences in 50 samples that stand in the training text, beside
  the share of those that the held-out authors wrote.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is imported

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer

from shared.settings import ROOT
from training.common import count_parameters, describe_hardware, flatten
from training.text_baselines import (
    END,
    Texts,
    join,
    join_characters,
    measure_compressors,
    measure_ngrams,
    sum_bits,
)
from training.text_data import (
    HELD_OUT_BOOKS,
    SOURCE,
    TITLE_PAGE,
    TokenData,
    documents,
    load_tokens,
    works,
)

POEMS = "poems"
MODEL = ("model", "model_consecutive")
BASELINES = ("gzip", "xz", "kn5", "char6")
COPIED = 8  # tokens
COPIES = 5  # samples of each beginning that are searched for what is copied
TARGET = 0.8  # of the best baseline's bits
# What the gallery samples with where nobody changes anything.
SETTINGS = {"max_new_tokens": 160, "temperature": 0.8, "top_k": 40, "top_p": 0.95}
BEGINNINGS = (
    "Once upon a time",
    "Once upon a time there was a little monster who",
    '"Where are you going?" said the fox.',
    "There was once a poor miller who had three daughters.",
    "In the middle of the night the old clock",
    "The princess looked out of the window and saw",
    "The wind blew all day, and in the evening",
    '"I am not afraid of the dark," said the mouse,',
    "The Cat and the Moon\n\n",
    "A Song for the Rain\n\n",
)


@torch.inference_mode()
def measure_model(model: Any, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return how surprising tokens[1:] are to ``model``, in nats, twice (M - 1,).

    First from at least half a context (where there is so much), then from as much as stands
    before a token in consecutive whole contexts.
    """
    context = model.config.max_position_embeddings
    sliding, consecutive = np.empty(len(tokens) - 1), np.empty(len(tokens) - 1)
    starts = range(0, len(tokens) - 1, context // 2)
    for start in tqdm(starts, unit="window", mininterval=5, leave=False):
        window = torch.from_numpy(tokens[start : start + context + 1].astype(np.int64))
        logits = model(window[None, :-1], use_cache=False).logits[0]  # (T, V)
        nats = F.cross_entropy(logits.float(), window[1:], reduction="none").numpy()
        known = context // 2 if start else 0  # from a window that began earlier
        sliding[start + known : start + len(nats)] = nats[known:]
        if start % context == 0:
            consecutive[start : start + len(nats)] = nats
    return sliding, consecutive


def name_works(folder: Path, texts: Sequence[str]) -> list[str]:
    """Name the book that each held-out document is from, or ``POEMS``.

    Raises:
        ValueError: The documents are not those of ``folder``.
    """
    names, unnamed = list[str](), deque(texts)
    for path in sorted([*folder.glob("book*.txt"), *folder.glob("poem*.txt")]):
        verse = path.name.startswith("poem")
        for work, held_out in works(path.read_text("utf-8"), verse=verse):
            if not held_out:
                continue
            books = (title for title in HELD_OUT_BOOKS if title in work[:TITLE_PAGE])
            name = POEMS if verse else next(books)
            for blocks in documents(work, verse=verse, left_out=Counter()):
                # Filters take out paragraphs, or a document altogether; the order stays.
                if unnamed and set(unnamed[0].split("\n\n")) <= set(blocks):
                    unnamed.popleft()
                    names.append(name)
    if unnamed:
        raise ValueError(f"{len(unnamed)} held-out documents are not in {folder}")
    return names


def share_copied(texts: Iterable[np.ndarray], stream: np.ndarray) -> float:
    """Share of the sequences of ``COPIED`` tokens in ``texts`` that stand in ``stream`` too."""
    mine = np.concatenate([_sequences(text) for text in texts])
    return float(np.isin(mine, _sequences(stream)).mean())


def _sequences(tokens: np.ndarray) -> np.ndarray:
    """Return all sequences of ``COPIED`` tokens, each as the string of its bytes."""
    if len(tokens) < COPIED:
        return np.empty(0, f"S{2 * COPIED}")
    windows = np.lib.stride_tricks.sliding_window_view(tokens.astype(np.uint16), COPIED)
    return np.ascontiguousarray(windows).view(f"S{2 * COPIED}").ravel()


def write(model: Any, tokenizer: Any, beginning: str, seed: int, count: int) -> list[np.ndarray]:
    """Continue ``beginning`` ``count`` times with ``generate`` of transformers: the new tokens."""
    inputs = tokenizer(beginning, return_tensors="pt", return_token_type_ids=False)
    torch.manual_seed(seed)
    output = cast(
        torch.Tensor,
        model.generate(**inputs, do_sample=True, num_return_sequences=count, **SETTINGS),
    )
    new = output[:, inputs["input_ids"].shape[1] :].numpy()
    ends = [np.flatnonzero(row == tokenizer.eos_token_id) for row in new]
    return [row[: end[0]] if len(end) else row for row, end in zip(new, ends, strict=True)]


def write_samples(model: Any, tokenizer: Any) -> list[dict[str, Any]]:
    """Continue each beginning once; the first with seed 1, the second with seed 2 and so on."""
    return [
        {
            "seed": seed,
            "beginning": beginning,
            "text": tokenizer.decode(write(model, tokenizer, beginning, seed, 1)[0]),
        }
        for seed, beginning in enumerate(BEGINNINGS, 1)
    ]


def measure_documents(
    model: Any, data: TokenData, texts: Texts, once: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the bits of each held-out document, (D,), by what predicts it.

    ``once`` is the training stream with every document in it once.
    """
    end, vocabulary = int(once[0]), data.tokenizer.get_vocab_size()
    train, held_out = join_characters(texts.train), join_characters(texts.held_out)
    bits = {
        "kn5": measure_ngrams(once, data.held_out, vocabulary, 5, end),
        "kn5_poems_twice": measure_ngrams(data.train, data.held_out, vocabulary, 5, end),
        "char6": measure_ngrams(train, held_out, 256, 7, ord(END)),
    }
    for name, nats in zip(MODEL, measure_model(model, data.held_out), strict=True):
        bits[name] = sum_bits(nats, data.held_out, end)
    return bits


def measure_copies(
    model: Any, tokenizer: Any, texts: Texts, once: np.ndarray
) -> dict[str, float | int]:
    """Compare how much of what the model writes stands in training texts with held-out texts."""
    samples = [
        sample
        for seed, beginning in enumerate(BEGINNINGS, 1)
        for sample in write(model, tokenizer, beginning, seed, COPIES)
    ]
    return {
        "copied": round(share_copied(samples, once), 4),
        "copied_held_out": round(share_copied(texts.held_out_tokens, once), 4),
    }


def load(folder: Path, source: Path) -> tuple[Any, Any, TokenData]:
    """Load the model, its tokenizer, and the texts.

    Raises:
        ValueError: The model has another tokenizer, so it was trained on other texts.
    """
    data = load_tokens(source)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    if tokenizer.get_vocab() != data.tokenizer.get_vocab():
        raise ValueError(f"{folder.name} was trained on other texts than those in {source}")
    return model, tokenizer, data


def evaluate_model(folder: Path, source: Path) -> dict[str, Any]:
    """Measure the bits of the model alone.

    Raises:
        ValueError: The model has another tokenizer, so it was trained on other texts.
    """
    model, tokenizer, data = load(folder, source)
    bits = {}
    for name, nats in zip(MODEL, measure_model(model, data.held_out), strict=True):
        total = sum_bits(nats, data.held_out, tokenizer.eos_token_id).sum()
        bits[f"bpc_{name}"] = round(float(total) / data.held_out_characters, 4)
    return bits


def evaluate(folder: Path, source: Path) -> dict[str, Any]:
    """Measure everything; plain figures first, then tables and samples.

    Raises:
        ValueError: The model has another tokenizer, so it was trained on other texts.
    """
    model, tokenizer, data = load(folder, source)
    texts = Texts.of(data)
    once = join(texts.train_tokens, tokenizer.eos_token_id)
    bits = measure_documents(model, data, texts, once)
    compressed = measure_compressors(
        *(join_characters(side)[1:].tobytes() for side in (texts.train, texts.held_out))
    )
    totals = {name: float(each.sum()) for name, each in bits.items()} | compressed
    for name in ("gzip", "xz"):
        totals[name] = min(compressed[f"{name}_alone"], compressed[f"{name}_primed"])
    best = min(BASELINES, key=lambda name: totals[name])
    return {
        **{
            f"bpc_{name}": round(total / data.held_out_characters, 4)
            for name, total in totals.items()
        },
        "best_baseline": best,
        "ratio_to_best": round(totals["model"] / totals[best], 4),
        "a_fifth_better": totals["model"] <= TARGET * totals[best],
        **measure_copies(model, tokenizer, texts, once),
        "parameters": count_parameters(model),
        "held_out_documents": len(texts.held_out),
        "held_out_tokens": len(data.held_out) - 1,
        "held_out_characters": data.held_out_characters,
        "hardware": describe_hardware(torch.device("cpu")),
        "works": by_work(name_works(source, texts.held_out), texts.held_out, bits),
        "settings": SETTINGS,
        "samples": write_samples(model, tokenizer),
    }


def by_work(
    names: Sequence[str], texts: Sequence[str], bits: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Bits per character of each work, for what gives them by document."""
    table: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(names):
        mine = np.array([one == name for one in names])
        characters = sum(len(text) + 1 for text, one in zip(texts, mine, strict=True) if one)
        table[name] = {"characters": characters} | {
            f"bpc_{key}": round(float(each[mine].sum()) / characters, 4)
            for key, each in bits.items()
        }
    return table


def main() -> None:
    """Measure and print: all figures, or with ``--json`` one line of the plain ones."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SOURCE, help="the texts, as for training")
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "text-storyteller")
    parser.add_argument("--model-only", action="store_true", help="the bits of the model alone")
    parser.add_argument("--json", action="store_true", help="print one flat JSON object only")
    parser.add_argument("--out", type=Path, help="also write all figures and samples to this file")
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # libraries print what they load
        measure = evaluate_model if arguments.model_only else evaluate
        figures = measure(arguments.model, arguments.data)
    words = [word.replace(f"{ROOT}/", "") for word in sys.argv[1:]]
    record = {
        "command": " ".join(["python -m training.evaluate_text", *words]),
        "versions": {name: version(name) for name in ("torch", "transformers", "tokenizers")},
        **figures,
    }
    text = json.dumps(record, indent=2, ensure_ascii=False)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(flatten(figures)) if arguments.json else text)


if __name__ == "__main__":
    main()
