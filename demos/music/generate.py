"""Autoregressive music, one note token at a time. No Gradio here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from threading import Event
from typing import TYPE_CHECKING, Any

from pydantic import Field

from shared.catalog import TuneModel
from shared.requests import Request
from shared.sampling import Draft, SampledToken, Sampling
from shared.tunes.controls import TuneControls
from shared.tunes.grammar import BarGrammar
from shared.tunes.sound import HIGHEST, PlayedNote, played_notes
from shared.tunes.tokens import control_ids, ids_to_score, prompt_ids
from shared.tunes.words import parse_description

if TYPE_CHECKING:
    import torch
    from miditok import REMI
    from symusic import Score

TOP_P = 0.95


class MusicRequest(Request):
    """What to compose, how long and how boldly.

    Attributes:
        description: Plain words for style, key, meter, tempo and instrument; empty means anything.
        duration: Seconds; the music ends with the bar in which they are over.
        temperature: Divides the logits: low stays with likely notes, high takes risks.
    """

    description: str = Field("", max_length=500)
    duration: float = Field(20.0, ge=5.0, le=60.0)
    temperature: float = Field(0.9, ge=0.1, le=1.5)


@dataclass(frozen=True)
class NoteToken:
    """A token such as ``Pitch_67`` and its probability, 1 if it was prescribed."""

    name: str
    probability: float


@dataclass(frozen=True)
class Bar:
    """A finished bar: the number of its tune, from 1, and its tokens."""

    tune: int
    tokens: tuple[NoteToken, ...]


@dataclass(frozen=True)
class MusicStep:
    """The state after one more bar.

    Attributes:
        controls: What was understood of the description.
        score: All bars so far, in the key, tempo and instrument that were asked for.
        notes: The same as heard, in seconds; empty if the model wrote rests only.
        bars: The same as the model wrote it, token by token.
        bar_seconds: Length of one bar.

    A tune may begin with an upbeat, a first bar that is mostly rest. Nobody wants to wait for it:
    what is played and shown begins with the first note, ``pickup`` seconds into the score.
    """

    controls: TuneControls
    score: Score
    notes: tuple[PlayedNote, ...]
    bars: tuple[Bar, ...]
    bar_seconds: float

    @property
    def pickup(self) -> float:
        """Seconds before the first note."""
        return self.notes[0].start if self.notes else 0.0

    @property
    def seconds(self) -> float:
        """Length of all bars so far, from the first note on."""
        return len(self.bars) * self.bar_seconds - self.pickup


def generate_music(
    tune_model: TuneModel, request: MusicRequest, stop: Event
) -> Iterator[MusicStep]:
    """Yield after every bar until ``request.duration`` is reached, or ``stop``.

    A tune that ends before the time is up is followed by another in the same style and meter, as
    players join tunes into a set. Simultaneous calls do not disturb each other, and a seed gives
    the same music each time.
    """
    import torch

    tokenizer = tune_model.tokenizer
    controls = parse_description(request.description)
    rng = torch.Generator("cpu").manual_seed(request.seed)
    bars: list[Bar] = []
    ids: list[int] = []
    for tune, tokens in _write_set(tune_model, controls, request.temperature, rng, stop):
        bars.append(Bar(tune, tuple(NoteToken(tokenizer[t.id], t.probability) for t in tokens)))
        ids += [token.id for token in tokens]
        score = ids_to_score(tokenizer, ids, controls)
        quarters = 4 * Fraction(_meter(tokenizer, tokens))
        step = MusicStep(
            controls=controls,
            score=score,
            notes=tuple(played_notes(score)),
            bars=tuple(bars),
            bar_seconds=float(60 * quarters / controls.tempo),
        )
        yield step
        if step.seconds >= request.duration:
            return


def _write_set(
    tune_model: TuneModel,
    controls: TuneControls,
    temperature: float,
    rng: torch.Generator,
    stop: Event,
) -> Iterator[tuple[int, list[SampledToken]]]:
    """Yield bars with the number of their tune, tune after tune, all in the meter of the first."""
    tokenizer = tune_model.tokenizer
    grammar = BarGrammar(
        tokenizer,
        longest_bar=_context(tune_model) // 3,
        highest_pitch=HIGHEST - controls.transposition,
    )
    sampling = Sampling(temperature, top_p=TOP_P)

    def write(ids: Sequence[int]) -> Iterator[SampledToken]:
        rules: list[Any] = [grammar]  # it does what a LogitsProcessor does
        return tune_model.writer.write(Draft(list(ids), sampling, rng, rules), stop)

    for tune in count(1):
        for bar in _write_tune(tune_model, controls, write, stop):
            controls = replace(controls, meter=_meter(tokenizer, bar))
            yield tune, bar
        if stop.is_set():
            return


def _write_tune(
    tune_model: TuneModel,
    controls: TuneControls,
    write: Callable[[Sequence[int]], Iterator[SampledToken]],
    stop: Event,
) -> Iterator[list[SampledToken]]:
    """Yield the bars of one tune until the model ends it, or ``stop``."""
    tokenizer = tune_model.tokenizer
    new_bar, end = tokenizer["Bar_None"], tokenizer["EOS_None"]
    prompt = prompt_ids(tokenizer, controls)
    bar = [SampledToken(prescribed, 1.0) for prescribed in prompt[prompt.index(new_bar) :]]
    bars: list[list[SampledToken]] = []
    while not stop.is_set():
        for token in write(prompt):
            if token.id in (new_bar, end):
                yield bar
                if token.id == end:
                    return
                bars.append(bar)
                bar = []
            bar.append(token)
        # The context is full: go on from the latest bars. The model has learnt to begin anywhere.
        prompt = control_ids(tokenizer, controls.style, controls.mode)
        prompt += _latest_ids([*bars, bar], _context(tune_model) // 2)


def _latest_ids(bars: Sequence[Sequence[SampledToken]], room: int) -> list[int]:
    """Return the ids of as many of the latest bars as fit into ``room``, at least one bar."""
    kept: list[int] = []
    for bar in reversed(bars):
        if kept and len(kept) + len(bar) > room:
            break
        kept = [token.id for token in bar] + kept
    return kept


def _context(tune_model: TuneModel) -> int:
    return int(tune_model.model.config.max_position_embeddings)


def _meter(tokenizer: REMI, bar: Sequence[SampledToken]) -> str:
    """Return the meter of a bar, such as ``6/8``; the grammar puts it after the bar line."""
    return str(tokenizer[bar[1].id]).removeprefix("TimeSig_")
