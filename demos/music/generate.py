"""Autoregressive music, one note token at a time. No Gradio here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field

from demos.music.words import parse_description
from shared.errors import InvalidRequest
from shared.requests import Request
from shared.sampling import Sampling
from shared.tunes.arrangement import Arrangement, arrange
from shared.tunes.chords import hear_mode
from shared.tunes.compose import TuneModel, WrittenBar, write_bars, write_ending
from shared.tunes.controls import (
    ANY,
    FASTEST,
    INSTRUMENTS,
    KEY_NAMES,
    METERS,
    MODES,
    OTHER_KEY_NAMES,
    SLOWEST,
    STYLES,
    TuneControls,
)
from shared.tunes.grammar import TRIAD
from shared.tunes.measures import (
    Measure,
    ids_to_measure,
    measures_to_ids,
    read_measures,
)

if TYPE_CHECKING:
    from miditok import MusicTokenizer

NONE = "none"  # no accompaniment
MOST_BARS = 96
MOST_SECONDS = 300
LONG = 1.0  # quarters; a shorter last note does not sound like an ending


def _one_of(names: Iterable[str]) -> Callable[[str], str]:
    """Return a check that a value is one of ``names``."""
    known = tuple(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"must be one of {', '.join(known)}, not {value[:30]!r}")
        return value

    return check


def _usual_name(key: Any) -> Any:
    return OTHER_KEY_NAMES.get(key, key) if isinstance(key, str) else key


class MusicRequest(Request):
    """What to compose, how long, how to sample, and how it is played.

    ``parse`` takes the fields that are not given from the description.

    Attributes:
        description: Plain words for style, key, meter, tempo, instruments and length.
        duration: Length in seconds; the bar in which it is reached is completed.
        bars: Length in full bars; 0 uses ``duration``.
        temperature: Divides the logits; low favours likely notes.
        top_p: Sample among the likeliest tokens that together have this probability.
        style: One of ``STYLES``, or ``ANY``.
        key: Name of the key note.
        mode: One of ``MODES``, or ``ANY``.
        meter: One of ``METERS``, or ``ANY``.
        tempo: Quarter notes per minute.
        instrument: Plays the melody, or all parts of a choir.
        accompaniment: Plays the chords, or the piano part of a song.
        loop: Whether the piece is played in a loop without a seam.
        beginning: Existing bars to continue, as ``write_measures`` writes them.
        ending: Existing bars that follow.
    """

    description: str = Field("", max_length=500)
    duration: float = Field(20.0, ge=5.0, le=120.0)
    bars: int = Field(0, ge=0, le=MOST_BARS)
    temperature: float = Field(0.9, ge=0.1, le=1.5)
    top_p: float = Field(0.95, ge=0.05, le=1.0)
    style: Annotated[str, AfterValidator(_one_of((ANY, *STYLES)))] = ANY
    key: Annotated[
        str, BeforeValidator(_usual_name), AfterValidator(_one_of(KEY_NAMES))
    ] = "D"  # fmt: skip
    mode: Annotated[str, AfterValidator(_one_of((ANY, *MODES)))] = ANY
    meter: Annotated[str, AfterValidator(_one_of((ANY, *METERS)))] = ANY
    tempo: int = Field(110, ge=SLOWEST, le=FASTEST)
    instrument: Annotated[str, AfterValidator(_one_of(INSTRUMENTS))] = "fiddle"
    accompaniment: Annotated[str, AfterValidator(_one_of((NONE, *INSTRUMENTS)))] = "guitar"
    loop: bool = False
    beginning: str = Field("", max_length=200_000)
    ending: str = Field("", max_length=200_000)

    @classmethod
    def parse(cls, **values: Any) -> Self:
        """Check ``values``, take the rest from the description, and draw the seed if it is -1.

        Raises:
            InvalidRequest: Fields are invalid (one sentence each), or the bars at this tempo would
                last longer than ``MOST_SECONDS``.
        """
        given = super().parse(**values)
        own = set(given.controls_of(values))
        chosen = {name: getattr(given.controls, name) for name in own}
        said = parse_description(given.description, chosen)
        read = cls.fields_of(said)
        if said.bars and "duration" not in values:
            read["bars"] = min(said.bars, MOST_BARS)
        if said.seconds:
            least, most, _ = cls.limits("duration")
            read["duration"] = min(max(said.seconds, least), most)
        request = given.model_copy(update={n: v for n, v in read.items() if n not in values})
        request._check_length()
        return request

    def _check_length(self) -> None:
        """Raise InvalidRequest if the bars last too long at this tempo."""
        bar = Measure("4/4" if self.meter == ANY else self.meter).quarters
        seconds = self.bars * bar * 60 / self.tempo
        if seconds > MOST_SECONDS:
            raise InvalidRequest(
                f"{self.bars} bars at {self.tempo} quarter notes a minute last "
                f"{seconds / 60:.0f} minutes, and {MOST_SECONDS / 60:.0f} are the most. Ask for "
                "fewer bars or a faster tempo."
            )

    @staticmethod
    def fields_of(controls: TuneControls) -> dict[str, Any]:
        """Return the request fields for ``controls``, without the length."""
        return {
            "style": controls.style or ANY,
            "key": KEY_NAMES[controls.tonic],
            "mode": controls.mode or ANY,
            "meter": controls.meter or ANY,
            "tempo": controls.tempo,
            "instrument": controls.instrument,
            "accompaniment": controls.accompaniment or NONE,
            "loop": controls.loop,
        }

    @staticmethod
    def controls_of(names: Iterable[str]) -> list[str]:
        """Return the ``TuneControls`` fields that the request fields ``names`` set."""
        fields = {"key": "tonic", **{name: name for name in _PLAYED}}
        return [fields[name] for name in names if name in fields]

    @property
    def controls(self) -> TuneControls:
        """The request as ``TuneControls``, without the length."""
        return TuneControls(
            style=None if self.style == ANY else self.style,
            mode=None if self.mode == ANY else self.mode,
            meter=None if self.meter == ANY else self.meter,
            tonic=KEY_NAMES.index(self.key),
            tempo=self.tempo,
            instrument=self.instrument,
            accompaniment=None if self.accompaniment == NONE else self.accompaniment,
            loop=self.loop,
        )


_PLAYED = ("style", "mode", "meter", "tempo", "instrument", "accompaniment", "loop")


@dataclass(frozen=True)
class NoteToken:
    """A token such as ``Pitch_67`` and its probability, 1 if it was not sampled."""

    name: str
    probability: float


@dataclass(frozen=True)
class Bar:
    """A finished bar: the number of its tune, from 1, its tokens, and its notes."""

    tune: int
    tokens: tuple[NoteToken, ...]
    measure: Measure


@dataclass(frozen=True)
class MusicStep:
    """The state after one more bar.

    Attributes:
        controls: How it is played.
        bars: All bars so far, in C, as the model wrote them.
        done: Progress; from 1 on, the piece is complete.
    """

    controls: TuneControls
    bars: tuple[Bar, ...]
    done: float = 1.0

    @property
    def is_complete(self) -> bool:
        """Whether this is the last step."""
        return self.done >= 1

    @cached_property
    def arrangement(self) -> Arrangement:
        """The notes in seconds, in the key and for the instruments of ``controls``."""
        measures = [bar.measure for bar in self.bars]
        return arrange(measures, self.controls, is_complete=self.is_complete)

    @property
    def has_upbeat(self) -> bool:
        """Whether the first bar is an upbeat, which is not counted."""
        return bool(self.bars) and self.bars[0].measure.is_upbeat

    @property
    def heard(self) -> TuneControls:
        """The controls; in a complete piece with the mode of the melody if none was requested."""
        mode = self.controls.mode
        if mode is None and self.is_complete and self.arrangement.notes:
            mode = hear_mode([bar.measure for bar in self.bars])
        return replace(self.controls, mode=mode)


def generate_music(
    tune_model: TuneModel, request: MusicRequest, stop: Event
) -> Iterator[MusicStep]:
    """Yield after every bar until the length of ``request`` is reached, or ``stop``.

    If a tune ends earlier, another one in the same style and meter follows, as in a set of tunes.
    If a tune has not ended by then, its last bar is replaced by one that ends on the key note, see
    ``write_ending``, except in a loop or when ``request.ending`` follows. A seed always gives the
    same music, also when several calls run at the same time.

    Raises:
        InvalidRequest: ``request.beginning`` or ``request.ending`` cannot be read.
    """
    import torch

    tokenizer, controls = tune_model.tokenizer, request.controls
    before, after = (
        _prescribe(tokenizer, read_measures(text)) for text in (request.beginning, request.ending)
    )
    sampling = Sampling(request.temperature, top_p=request.top_p)
    rng = torch.Generator("cpu").manual_seed(request.seed)
    written: list[Bar] = []

    def bring_to_rest(last: WrittenBar) -> None:
        """Replace the last bar by an ending, if it does not sound like one."""
        tune = [one for one in (*before, *written[:-1]) if one.tune == last.tune]
        if last.tune > 1 and not tune and written[-1].measure.is_upbeat and not request.bars:
            written.pop()  # drop an upbeat to a tune that is not continued
        elif (before or written[1:]) and not _is_at_rest(written[-1].measure):
            begun = _list_ids(tokenizer, tune)
            ending = write_ending(tune_model, last.controls, sampling, rng, stop, begun)
            if ending:
                written[-1] = _read_bar(tokenizer, replace(ending, tune=last.tune), controls)

    bars = write_bars(tune_model, controls, sampling, rng, stop, _list_ids(tokenizer, before))
    for bar in bars:
        written.append(_read_bar(tokenizer, bar, controls))
        done = _done(request, written, is_first=not before)
        if done >= 1 and not after and not controls.loop:
            bars.close()  # frees its row of the batch for the ending
            bring_to_rest(bar)
        yield MusicStep(controls, (*before, *written, *(after if done >= 1 else ())), done)
        if done >= 1:
            return


def _list_ids(tokenizer: MusicTokenizer, bars: Iterable[Bar]) -> list[list[int]]:
    return [[tokenizer[token.name] for token in bar.tokens] for bar in bars]


def _read_bar(tokenizer: MusicTokenizer, bar: WrittenBar, controls: TuneControls) -> Bar:
    tokens = tuple(NoteToken(tokenizer[t.id], t.probability) for t in bar.tokens)
    return Bar(bar.tune, tokens, ids_to_measure(tokenizer, bar.ids, controls.style))


def _is_at_rest(measure: Measure) -> bool:
    """Whether a bar ends on a long key note, the lowest of a chord if there are several parts."""
    end = max((note.start + note.duration for note in measure.notes), default=0.0)
    last = [note for note in measure.notes if note.start + note.duration == end]
    lowest = min(last, key=lambda note: note.pitch, default=None)
    is_whole = measure.is_melody or len(last) >= TRIAD
    return is_whole and bool(lowest and lowest.pitch % 12 == 0 and lowest.duration >= LONG)


def _done(request: MusicRequest, written: Sequence[Bar], *, is_first: bool) -> float:
    """Return the share of the requested length that is written; an upbeat does not count."""
    measures = [bar.measure for bar in written]
    upbeat = measures[0] if is_first and measures[0].is_upbeat else None
    if request.bars:
        return (len(measures) - bool(upbeat)) / request.bars
    quarters = sum(measure.quarters for measure in measures)
    if is_first and measures[0].notes:
        quarters -= measures[0].quarters if upbeat and request.loop else measures[0].notes[0].start
    return quarters * 60 / request.tempo / request.duration


def _prescribe(tokenizer: MusicTokenizer, measures: Sequence[Measure]) -> tuple[Bar, ...]:
    """Return existing bars as tokens with probability 1."""
    return tuple(
        Bar(1, tuple(NoteToken(tokenizer[id_], 1.0) for id_ in ids), measure)
        for ids, measure in zip(measures_to_ids(tokenizer, measures), measures, strict=True)
    )


def play_otherwise(step: MusicStep, controls: TuneControls) -> MusicStep:
    """Return the same bars in another key and tempo or with other instruments."""
    played = replace(step.controls, **{name: getattr(controls, name) for name in _AS_PLAYED})
    return MusicStep(played, step.bars)


_AS_PLAYED = ("tonic", "tempo", "instrument", "accompaniment", "loop")
