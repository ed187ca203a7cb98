"""The decoding loop of MusicGen: tokens of several codebooks, frame by frame, beyond one window.

The engines bring the networks, and this loop does what is the same for all: the delay pattern,
sampling with a generator of the call's own, and the window that slides over long pieces. Engines
keep no settings, and what one call remembers (keys and values) is in the function it was given.
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

UNKNOWN = -1  # a token that is still to be drawn
# Takes the columns of the delayed tokens that follow those of the call before, (K, S), and returns
# the guided logits of the next column, (K, V), float32, on the CPU.
Predict = Callable[["torch.Tensor"], "torch.Tensor"]


@dataclass(frozen=True, eq=False)
class Conditions:
    """What the decoder is told besides the tokens before.

    Attributes:
        description: Plain words; empty for none.
        cfg_coef: Weight of classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598); at 1
            the half of the work that it costs is saved.
        melody: Mono, at the engine's rate, as long as a window; None for none.
    """

    description: str
    cfg_coef: float = 3.0
    melody: Sound | None = None

    @property
    def guided(self) -> bool:
        """Whether the decoder runs without conditions, too."""
        return self.cfg_coef > 1 and bool(self.description.strip() or self.melody)


@dataclass(frozen=True)
class Layout:
    """How a model spells sound.

    Attributes:
        sample_rate: Of its sound.
        channels: Of its sound, 1 or 2. With two, codebooks alternate: left, right, left, right.
        frame_rate: Frames of tokens per second of sound.
        codebook_size: V, tokens of a codebook; the next one stands for "nothing here".
        delays: Of each of the K codebooks, in frames.
        window: Frames that the model has been trained to write in one go.
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
        """How it spells sound."""

    @property
    def follows_melody(self) -> bool:
        """Whether it takes a melody."""

    def start(self, conditions: Conditions) -> Predict:
        """Read the conditions once, and return what predicts column after column."""

    def encode(self, sound: Sound) -> np.ndarray:
        """Turn sound of its own rate and channels into tokens, (K, T), int64."""

    def decode(self, codes: np.ndarray, levels: Sequence[int]) -> Sound:
        """Turn tokens, (K, T), into sound, from some levels of residual quantisation only."""


@dataclass(frozen=True, eq=False)
class Passage:
    """What to write.

    Attributes:
        conditions: The melody in them is whole here, of any length.
        frames: New ones, at least 1.
        stride: Frames by which the window moves on when it is full; the rest of it is kept.
        sampling: How boldly.
        seed: Of the generator.
        prompt: Tokens to go on from, (K, T); at most what is kept of a window is used.
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
    """Yield all complete frames after each step, (K, t), the prompt's included.

    The last yield has every frame; after ``stop`` there are no more. A seed gives the same tokens
    each time. Beyond one window each next one begins with the end of the one before, as in
    audiocraft; what lies further back is forgotten.
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
    """The conditions of the window that begins at a frame: a melody begins again at its end."""
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
    """Draw the frames of ``codes`` from ``known`` on; yield how many are complete."""
    import torch

    grid = torch.from_numpy(delay(codes, layout.delays, layout.codebook_size))
    columns = grid[:, : known + 1]
    for position in range(known + 1, grid.shape[1]):
        if stop.is_set():
            return
        column = grid[:, position]
        column[:] = torch.where(column == UNKNOWN, draw(predict(columns)), column)
        columns = grid[:, position : position + 1]
        for book, lag in enumerate(layout.delays):
            if 0 <= (frame := position - 1 - lag) < codes.shape[1]:
                codes[book, frame] = column[book]
        if (complete := position - max(layout.delays)) > known:
            yield complete


def draw(logits: torch.Tensor, sampling: Sampling, rng: torch.Generator) -> torch.Tensor:
    """Draw one token for each row of logits, (K, V) -> (K,)."""
    import torch

    ids = torch.zeros(len(logits), 0, dtype=torch.long)  # these rules do not look back
    for rule in sampling.processors():
        logits = rule(ids, logits)
    return torch.multinomial(logits.softmax(-1), 1, generator=rng)[:, 0]


def delay(codes: np.ndarray, delays: Sequence[int], nothing: int) -> np.ndarray:
    """Shift each codebook to the right by its delay, after one empty column.

    So the decoder draws the fine codebooks of a frame when it has heard the coarse ones.

    Args:
        codes: (K, T).
        delays: Of each codebook.
        nothing: What stands where no token is.

    Returns:
        (K, 1 + T + the longest delay).
    """
    import numpy as np

    books, frames = codes.shape
    grid = np.full((books, 1 + frames + max(delays)), nothing, codes.dtype)
    for book, lag in enumerate(delays):
        grid[book, 1 + lag : 1 + lag + frames] = codes[book]
    return grid


def guide(logits: torch.Tensor, books: int, cfg_coef: float) -> torch.Tensor:
    """Push what the conditions say away from what is likely without them.

    Args:
        logits: (2 K, V) with and then without conditions, or (K, V) if only with.
        books: K.
        cfg_coef: By how much.

    Returns:
        (K, V), float32, on the CPU.
    """
    logits = logits.float().cpu()
    if len(logits) == books:
        return logits
    told, untold = logits.split(books)
    return untold + (told - untold) * cfg_coef


def render(engine: MusicGenEngine, codes: np.ndarray) -> Sound:
    """Decode tokens, (K, T), with all their levels."""
    return engine.decode(codes, range(engine.layout.levels))
