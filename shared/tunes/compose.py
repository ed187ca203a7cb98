"""Tunes written by a model, bar by bar."""

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

REDRAWS = 8  # of a bar that completes a copy, before the tune ends there
BOLDER, BOLD = 1.15, 0.5  # each is drawn at a higher temperature, at least BOLD


@dataclass(frozen=True)
class TuneModel:
    """A causal transformer over note tokens and what belongs to it.

    Attributes:
        model: The transformer.
        tokenizer: Its own.
        engine: Writes with it.
        guard: Knows what it was trained on, if that was kept.
    """

    model: PreTrainedModel
    tokenizer: MusicTokenizer
    engine: Engine
    guard: CopyGuard | None = None

    @property
    def context(self) -> int:
        """Tokens that the model looks back on."""
        return int(self.model.config.max_position_embeddings)


@dataclass(frozen=True)
class WrittenBar:
    """A finished bar.

    Attributes:
        tune: The number of its tune, from 1.
        tokens: Its own, the bar line first.
        controls: Those that the model got.
    """

    tune: int
    tokens: tuple[SampledToken, ...]
    controls: TuneControls

    @property
    def ids(self) -> list[int]:
        """The same without probabilities."""
        return [token.id for token in self.tokens]


def write_bars(
    tune_model: TuneModel,
    controls: TuneControls,
    sampling: Sampling,
    rng: torch.Generator,
    stop: Event,
    begun: Sequence[Sequence[int]] = (),
) -> Generator[WrittenBar, None, None]:
    """Yield bars for ever, tune after tune as players join them into a set, until ``stop``.

    All are in the meter of the first. ``rng`` alone decides: other calls at the same time, which
    may share the engine, do not.

    Args:
        tune_model: Writes.
        controls: What is asked for; a meter that is not said is the first bar's.
        sampling: How boldly.
        rng: On the CPU.
        stop: Ends it within a token; what is left of a bar is dropped.
        begun: Bars, each from its bar line on, that the first tune goes on from. They are not
            yielded again.
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
    """Return a bar that follows ``begun`` and comes to rest on the key note; see ``write_tune``.

    A model that is cut off in the middle of a tune does not know that it writes the last bar. So
    this one is drawn again, among what comes to rest: see ``BarGrammar``. None after a stop, or
    where it would be a copy.
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

    With ``is_ending``, bars come to rest, see ``BarGrammar``. A bar that would complete a passage
    of the training data is drawn again, more boldly each time. Should that never help, the tune
    ends before it.
    """
    tokenizer, context = tune_model.tokenizer, tune_model.context
    line, end = tokenizer["Bar_None"], tokenizer["EOS_None"]
    longest = context // 3
    grammar: Any = BarGrammar(  # it does what a LogitsProcessor does
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
            # The context is full: go on from the latest bars, which the model has learnt.
            first = _first_in(bars, context // 2)


def _dare(sampling: Sampling, redraws: int) -> Sampling:
    """Return ``sampling``, bolder after each redraw."""
    if not redraws:
        return sampling
    return replace(sampling, temperature=max(sampling.temperature, BOLD) * BOLDER**redraws)


def _fork(rng: torch.Generator) -> torch.Generator:
    """Return a separate generator for one sequence.

    A engine may draw ahead of what is used, by how much depends on others.
    """
    import torch

    seed = int(torch.randint(2**62, (), generator=rng))
    return torch.Generator("cpu").manual_seed(seed)


def _first_in(bars: Sequence[Sequence[int]], room: int) -> int:
    """Return the number of the first of the latest bars that fit into ``room``, at least one."""
    first = max(len(bars) - 1, 0)
    size = len(bars[-1]) if bars else 0
    while first and size + len(bars[first - 1]) <= room:
        first -= 1
        size += len(bars[first])
    return first
