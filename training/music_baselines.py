"""Baselines for the tune model: a Markov chain and a small LSTM over the same tokens.

Their loss is over the same tokens of the same held-out pieces, from the first bar line to EOS. They
get the same controls, as the first tokens of each piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from miditok import REMI

from shared.tunes.tokens import CONTROLS
from training.common import Budget, one_cycle, set_learning_rate
from training.ngrams import KneserNey
from training.train_music import IGNORED, TokenTune, batches, complete

HEAD = len(CONTROLS) + 1  # tokens before the first bar line, with BOS; not part of the loss
LENGTH = 512  # tokens per training window of the LSTM
LSTM_RATE = 1e-2


def measure_markov(
    tokenizer: REMI, train: Sequence[TokenTune], held_out: Sequence[TokenTune], order: int
) -> np.ndarray:
    """Return the loss of a Markov chain in nats for each held-out piece, (D,).

    Args:
        tokenizer: Tokenizer of the pieces.
        train: Pieces to count n-grams in, with Kneser-Ney smoothing.
        held_out: Pieces to predict.
        order: Context in tokens.
    """
    stream = np.concatenate([complete(tokenizer, tune) for tune in train])
    chain = KneserNey(stream, len(tokenizer), order + 1)
    return np.array([chain.nats(complete(tokenizer, tune))[HEAD:].sum() for tune in held_out])


class SmallLSTM(torch.nn.Module):
    """Two layers of long short-term memory (Hochreiter and Schmidhuber 1997) over note tokens."""

    def __init__(self, vocabulary: int, width: int = 256, layers: int = 2) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(vocabulary, width)
        self.lstm = torch.nn.LSTM(width, width, layers, batch_first=True, dropout=0.1)
        self.predict = torch.nn.Linear(width, vocabulary)
        self.predict.weight = self.embed.weight  # tied, as in the model

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return the logits (B, T, V) of the token after each of ``ids`` (B, T)."""
        logits: torch.Tensor = self.predict(self.lstm(self.embed(ids))[0])
        return logits


def train_lstm(
    tokenizer: REMI,
    train: Sequence[TokenTune],
    budget: Budget,
    *,
    tokens_per_batch: int = 4096,
    seed: int = 0,
    max_steps: int | None = None,
) -> SmallLSTM:
    """Train an LSTM on the same windows as the model until the budget is spent."""
    torch.manual_seed(seed)
    model = SmallLSTM(len(tokenizer))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    data = batches(tokenizer, train, tokens_per_batch, np.random.default_rng(seed), LENGTH)
    pad = tokenizer["PAD_None"]
    for _ in budget.steps("LSTM", max_steps):
        batch = next(data)
        labels = batch[:, 1:].masked_fill(batch[:, 1:].eq(pad), IGNORED)
        loss = F.cross_entropy(
            model(batch[:, :-1]).flatten(0, 1), labels.flatten(), ignore_index=IGNORED
        )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        set_learning_rate(optimizer, LSTM_RATE * one_cycle(budget.progress))
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return model.eval()


@torch.inference_mode()
def measure_lstm(tokenizer: REMI, model: SmallLSTM, held_out: Sequence[TokenTune]) -> np.ndarray:
    """Return the loss of the LSTM in nats for each held-out piece, (D,), read in one window."""
    nats = list[float]()
    for tune in held_out:
        ids = torch.from_numpy(complete(tokenizer, tune))
        each = F.cross_entropy(model(ids[None, :-1])[0], ids[1:], reduction="none")
        nats.append(each[HEAD - 1 :].sum().item())
    return np.array(nats)


@torch.inference_mode()
def measure_model(
    tokenizer: REMI, model: torch.nn.Module, held_out: Sequence[TokenTune], context: int
) -> np.ndarray:
    """Return the loss of a transformer in nats for each held-out piece, (D,).

    A piece longer than the context is read in windows that begin at a bar, after the controls, as
    on the page. Every token is predicted from at least half a context, or from all that precedes
    it.
    """
    nats = list[float]()
    for tune in held_out:
        ids = complete(tokenizer, tune)
        controls = ids[: HEAD - 1]
        bars = np.flatnonzero(ids == tokenizer["Bar_None"])
        start, known, total = 0, HEAD, 0.0
        while known < len(ids):
            begins = controls if start else controls[:0]
            window = np.concatenate([begins, ids[start:]])[:context]
            offset = start - len(begins)
            tokens = torch.from_numpy(window)[None]
            logits = model(input_ids=tokens[:, :-1], use_cache=False).logits[0]
            each = F.cross_entropy(logits.float(), tokens[0, 1:], reduction="none")
            total += each[known - offset - 1 :].sum().item()
            known = offset + len(window)
            start = next(itertools.chain(bars[bars >= known - context // 2], [known]))
        nats.append(total)
    return np.array(nats)
