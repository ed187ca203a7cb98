"""The sampling loop of MusicGen: tokens of several codebooks, frame by frame, of any length.

Engines run the networks. This loop has what they share: the delay pattern, sampling with an rng per
call, and the sliding window for long pieces. Engines have no state per request: the KV cache of a
call is in the function that ``start`` returns.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import TYPE_CHECKING, Protocol

from shared.sampling import Sampling
from shared.sounds import Sound

if TYPE_CHECKING:
    import numpy as np
    import torch

UNKNOWN = -1  # a token that is not drawn yet
# Takes the columns of delayed tokens since the last call, (K, S), and returns the guided logits of
# the next column, (K, V), float32, on the CPU.
Predict = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the decoder is conditioned on.

    Attributes:
        description: Text; empty for none.
        cfg_coef: Weight of classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598); 1 turns
            it off, which halves the work.
        melody: Mono, at the engine's sample rate, as long as a window; None for none.
    """

    description: str
    cfg_coef: float = 3.0
    melody: Sound | None = None

    @property
    def guided(self) -> bool:
        """Whether the decoder also runs without conditions, for guidance."""
        return self.cfg_coef > 1 and bool(self.description.strip() or self.melody)


@dataclass(frozen=True)
class Layout:
    """How a model represents sound as tokens.

    Attributes:
        sample_rate: In Hz.
        channels: 1 or 2. With two, codebooks alternate: left, right, left, right.
        frame_rate: Frames of tokens per second.
        codebook_size: V, tokens of a codebook; the token V is padding.
        delays: Delay of each of the K codebooks, in frames.
        window: Frames that the model was trained on.
    """

    sample_rate: int
    channels: int
    frame_rate: float
    codebook_size: int
    delays: tuple[int, ...]
    window: int

    @property
    def levels(self) -> int:
        """Levels of residual quantisation: codebooks per channel."""
        return len(self.delays) // self.channels


class MusicGenEngine(Protocol):
    """A MusicGen model that several threads may use at once."""

    @property
    def name(self) -> str:
        """The library that runs it, with its version."""

    @property
    def layout(self) -> Layout:
        """How it represents sound."""

    @property
    def follows_melody(self) -> bool:
        """Whether it can be conditioned on a melody."""

    def start(self, conditions: Conditions) -> Predict:
        """Encode the conditions and return a function that predicts column after column."""

    def encode(self, sound: Sound) -> np.ndarray:
        """Encode sound of its own rate and channels as tokens, (K, T), int64."""

    def decode(self, codes: np.ndarray, levels: Sequence[int]) -> Sound:
        """Decode tokens, (K, T), using only ``levels`` of the residual quantisation."""


@dataclass(frozen=True, eq=False)
class Passage:
    """What to generate.

    Attributes:
        conditions: Their melody may have any length here.
        frames: Number of new frames, at least 1.
        stride: Frames by which a full window advances; the rest of it stays as context.
        sampling: How tokens are drawn.
        seed: Seed of the rng.
        prompt: Tokens to continue, (K, T); only the last ``window - stride`` frames are used.
    """

    conditions: Conditions
    frames: int
    stride: int
    sampling: Sampling
    seed: int
    prompt: np.ndarray | None = None


def write_codes(
    engine: MusicGenEngine, passage: Passage, stop: Event
) -> Generator[np.ndarray, None, None]:
    """Yield all complete frames after each step, (K, t), including the prompt.

    The last step has every frame; after ``stop`` there are no more steps. A seed always gives the
    same tokens. Each window begins with the end of the one before, as in audiocraft.
    """
    import numpy as np
    import torch

    rng = torch.Generator("cpu").manual_seed(passage.seed)
    kept = engine.layout.window - passage.stride
    prompt = np.zeros((len(engine.layout.delays), 0), np.int64)
    if passage.prompt is not None:
        prompt = passage.prompt[:, -kept:]
    total = prompt.shape[1] + passage.frames
    codes = np.full((len(engine.layout.delays), total), UNKNOWN, np.int64)
    codes[:, : prompt.shape[1]] = prompt
    start, done = 0, prompt.shape[1]
    while done < total:
        predict = engine.start(_conditions_at(engine, passage.conditions, start))
        part = codes[:, start : start + engine.layout.window]  # a view: it is filled in place
        drawn = partial(draw, sampling=passage.sampling, rng=rng)
        for complete in _fill(engine.layout, predict, drawn, part, done - start, stop):
            yield codes[:, : start + complete]
        if stop.is_set():
            return
        done = start + part.shape[1]
        start = done - kept


def _conditions_at(engine: MusicGenEngine, conditions: Conditions, start: int) -> Conditions:
    """Return the conditions of the window that begins at frame ``start``; a melody is looped."""
    import numpy as np

    if conditions.melody is None:
        return conditions
    rate = engine.layout.sample_rate
    first = round(start / engine.layout.frame_rate * rate)
    count = round(engine.layout.window / engine.layout.frame_rate * rate)
    length = conditions.melody.samples.shape[1]
    positions = np.arange(first, first + count) % length
    melody = Sound(conditions.melody.samples[:, positions], rate)
    return Conditions(conditions.description, conditions.cfg_coef, melody)


def _fill(
    layout: Layout,
    predict: Predict,
    draw: Callable[[torch.Tensor], torch.Tensor],
    codes: np.ndarray,
    known: int,
    stop: Event,
) -> Iterator[int]:
    """Draw the frames of ``codes`` from ``known`` on; yield the number of complete frames."""
    import torch

    grid = torch.from_numpy(delay(codes, layout.delays, layout.codebook_size))
    columns = grid[:, : known + 1]
    for position in range(known + 1, grid.shape[1]):
        if stop.is_set():
            return
        column = grid[:, position]
        column[:] = torch.where(column == UNKNOWN, draw(predict(columns)), column)
        columns = grid[:, position : position + 1]
        for codebook, lag in enumerate(layout.delays):
            if 0 <= (frame := position - 1 - lag) < codes.shape[1]:
                codes[codebook, frame] = column[codebook]
        if (complete := position - max(layout.delays)) > known:
            yield complete


def draw(logits: torch.Tensor, sampling: Sampling, rng: torch.Generator) -> torch.Tensor:
    """Draw one token for each row of logits, (K, V) -> (K,)."""
    import torch

    ids = torch.zeros(len(logits), 0, dtype=torch.long)  # these processors do not read them
    for processor in sampling.processors():
        logits = processor(ids, logits)
    return torch.multinomial(logits.softmax(-1), 1, generator=rng)[:, 0]


def delay(codes: np.ndarray, delays: Sequence[int], padding: int) -> np.ndarray:
    """Shift each codebook to the right by its delay, after one column of padding.

    So the fine codebooks of a frame are conditioned on its coarse ones.

    Args:
        codes: (K, T).
        delays: Delay of each codebook, in frames.
        padding: Token for empty places.

    Returns:
        (K, 1 + T + the longest delay).
    """
    import numpy as np

    codebooks, frames = codes.shape
    grid = np.full((codebooks, 1 + frames + max(delays)), padding, codes.dtype)
    for codebook, lag in enumerate(delays):
        grid[codebook, 1 + lag : 1 + lag + frames] = codes[codebook]
    return grid


def guide(logits: torch.Tensor, codebooks: int, cfg_coef: float) -> torch.Tensor:
    """Apply classifier-free guidance.

    Args:
        logits: (2 K, V), conditional and then unconditional, or (K, V) without guidance.
        codebooks: K.
        cfg_coef: Weight of the guidance.

    Returns:
        (K, V), float32, on the CPU.
    """
    logits = logits.float().cpu()
    if len(logits) == codebooks:
        return logits
    conditional, unconditional = logits.split(codebooks)
    return unconditional + (conditional - unconditional) * cfg_coef


def render(engine: MusicGenEngine, codes: np.ndarray) -> Sound:
    """Decode tokens, (K, T), with all their levels."""
    return engine.decode(codes, range(engine.layout.levels))
