"""A model writes tunes bar by bar."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

from shared.sampling import SampledToken, Sampling, TokenSequence
from shared.tunes.controls import TuneControls
from shared.tunes.grammar import BarGrammar
from shared.tunes.rhythm_drafter import RhythmDrafter
from shared.tunes.sound import HIGHEST
from shared.tunes.tokens import control_ids, meter_of, prompt_ids

if TYPE_CHECKING:
    import torch
    from miditok import MusicTokenizer
    from transformers import PreTrainedModel

    from shared.sampling import Engine
    from shared.tunes.copying import CopyGuard

REDRAWS = 8  # of a bar that copies the training data, before the tune ends there
BOLDER, BOLD = 1.15, 0.5  # factor on the temperature per redraw, and its least start value


@dataclass(frozen=True)
class TuneModel:
    """A causal transformer over note tokens, with its tokenizer and engine.

    Attributes:
        model: The transformer.
        tokenizer: The model's tokenizer.
        engine: Samples from the model.
        guard: Detects copies of the training data; None if their hashes were not saved.
    """

    model: PreTrainedModel
    tokenizer: MusicTokenizer
    engine: Engine
    guard: CopyGuard | None = None

    @property
    def context(self) -> int:
        """Context length in tokens."""
        return int(self.model.config.max_position_embeddings)


@dataclass(frozen=True)
class WrittenBar:
    """A finished bar.

    Attributes:
        tune: The number of its tune, from 1.
        tokens: The tokens of the bar, the bar line first.
        controls: The controls that the model got.
    """

    tune: int
    tokens: tuple[SampledToken, ...]
    controls: TuneControls

    @property
    def ids(self) -> list[int]:
        """The token ids."""
        return [token.id for token in self.tokens]


def write_bars(
    tune_model: TuneModel,
    controls: TuneControls,
    sampling: Sampling,
    rng: torch.Generator,
    stop: Event,
    begun: Sequence[Sequence[int]] = (),
) -> Generator[WrittenBar, None, None]:
    """Yield bars until ``stop``. When a tune ends, the next one begins, as in a set of tunes.

    All bars have the meter of the first. The result depends on ``rng`` only, not on other calls
    that share the engine.

    Args:
        tune_model: The model.
        controls: What to compose; without a meter, the first bar's meter is kept.
        sampling: Temperature and top-p.
        rng: On the CPU.
        stop: Ends the generation within a token; an unfinished bar is dropped.
        begun: Token ids of the bars that the first tune continues, each from its bar line on. They
            are not yielded again.
    """
    for tune in count(1):
        if begun:
            controls = replace(controls, meter=meter_of(tune_model.tokenizer, begun[-1]))
        given = controls
        for tokens in write_tune(tune_model, given, sampling, rng, stop, begun):
            bar = WrittenBar(tune, tuple(tokens), given)
            controls = replace(controls, meter=meter_of(tune_model.tokenizer, bar.ids))
            yield bar
        if stop.is_set():
            return
        begun = ()


def write_ending(
    tune_model: TuneModel,
    controls: TuneControls,
    sampling: Sampling,
    rng: torch.Generator,
    stop: Event,
    begun: Sequence[Sequence[int]],
) -> WrittenBar | None:
    """Return a last bar after ``begun`` that ends on the key note; see ``write_tune``.

    A model that is cut off in the middle of a tune does not know that this bar is the last. So the
    bar is sampled again under a grammar that allows endings only, see ``BarGrammar``. Returns None
    after a stop, or if every attempt was a copy.
    """
    bars = write_tune(tune_model, controls, sampling, rng, stop, begun, is_ending=True)
    tokens = next(bars, None)
    return WrittenBar(1, tuple(tokens), controls) if tokens else None


def write_tune(
    tune_model: TuneModel,
    controls: TuneControls,
    sampling: Sampling,
    rng: torch.Generator,
    stop: Event,
    begun: Sequence[Sequence[int]] = (),
    *,
    is_ending: bool = False,
) -> Iterator[list[SampledToken]]:
    """Yield the bars of one tune until the model ends it, or ``stop``; see ``write_bars``.

    With ``is_ending``, bars end on the key note, see ``BarGrammar``. A bar that completes a passage
    of the training data is sampled again, at a higher temperature each time. After ``REDRAWS``
    attempts the tune ends before that bar.
    """
    tokenizer, context = tune_model.tokenizer, tune_model.context
    line, end = tokenizer["Bar_None"], tokenizer["EOS_None"]
    longest = context // 3
    grammar: Any = BarGrammar(  # has the interface of a LogitsProcessor
        tokenizer,
        longest_bar=longest,
        highest_pitch=HIGHEST - controls.transposition,
        is_ending=is_ending,
    )
    opening = prompt_ids(tokenizer, controls)
    given = [SampledToken(id_, 1.0) for id_ in opening[opening.index(line) :]]
    bars = [list(bar) for bar in begun]
    if bars:
        given = given[:1]
    first = _first_in(bars, context - longest)
    redraws = 0
    while not stop.is_set() and redraws <= REDRAWS:
        prompt = control_ids(tokenizer, controls)
        prompt += [] if first else [tokenizer["BOS_None"]]
        prompt += [id_ for bar in bars[first:] for id_ in bar] + [token.id for token in given]
        bar = list(given)
        sequence = TokenSequence(
            prompt, _dare(sampling, redraws), _fork(rng), [grammar], RhythmDrafter(tokenizer)
        )
        for token in tune_model.engine.write(sequence, stop):
            if token.id not in (line, end):
                bar.append(token)
                continue
            ids = [token.id for token in bar]
            if tune_model.guard and tune_model.guard.copies([*bars, ids]):
                redraws += 1
                break
            redraws = 0
            yield bar
            if token.id == end:
                return
            bars.append(ids)
            given, bar = [token], [token]
        else:
            # The context is full: continue from the latest bars. Training had such windows too.
            first = _first_in(bars, context // 2)


def _dare(sampling: Sampling, redraws: int) -> Sampling:
    """Return ``sampling`` with a temperature that grows with each redraw."""
    if not redraws:
        return sampling
    return replace(sampling, temperature=max(sampling.temperature, BOLD) * BOLDER**redraws)


def _fork(rng: torch.Generator) -> torch.Generator:
    """Return a separate generator for one sequence.

    An engine may draw more numbers than are used; how many depends on its other sequences.
    """
    import torch

    seed = int(torch.randint(2**62, (), generator=rng))
    return torch.Generator("cpu").manual_seed(seed)


def _first_in(bars: Sequence[Sequence[int]], room: int) -> int:
    """Return the index of the first of the latest bars that fit into ``room``, at least one."""
    first = max(len(bars) - 1, 0)
    size = len(bars[-1]) if bars else 0
    while first and size + len(bars[first - 1]) <= room:
        first -= 1
        size += len(bars[first])
    return first
