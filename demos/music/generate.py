"""Autoregressive music, one note token at a time. No Gradio here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from threading import Event
from typing import TYPE_CHECKING

from pydantic import Field

from shared.requests import Request
from shared.sampling import Sampling
from shared.tunes.compose import TuneModel, write_bars
from shared.tunes.controls import TuneControls
from shared.tunes.sound import PlayedNote, played_notes
from shared.tunes.tokens import ids_to_score, meter_of
from shared.tunes.words import parse_description

if TYPE_CHECKING:
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
    sampling = Sampling(request.temperature, top_p=TOP_P)
    for bar in write_bars(tune_model, controls, sampling, rng, stop):
        tokens = tuple(NoteToken(tokenizer[t.id], t.probability) for t in bar.tokens)
        bars.append(Bar(bar.tune, tokens))
        ids += bar.ids
        score = ids_to_score(tokenizer, ids, controls)
        quarters = 4 * Fraction(meter_of(tokenizer, bar.ids))
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
