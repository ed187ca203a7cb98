"""The piece on display, and the commands that change it. No Gradio here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from demos.music.generate import (
    MOST_SECONDS,
    Bar,
    MusicRequest,
    MusicStep,
    play_otherwise,
)
from demos.music.recording import Chunk, write_midi
from demos.music.score.midi import Melody, read_midi
from shared.errors import InvalidRequest
from shared.requests import Seed
from shared.tunes.controls import TuneControls, find_instrument
from shared.tunes.measures import read_measures, write_measures


def draw_key() -> str:
    """Return a random id, by which the player on the page recognizes a new piece."""
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Piece:
    """Music, and how it was made.

    Attributes:
        step: The bars and how they are played.
        title: Title of the model, or another source.
        recipe: How it was composed.
        note: The last command, such as "goes on".
        remark: Sentences for the visitor about the source.
        key: Id of this piece as it is played, for the player.
        chunks: The rendered sound.
        rendered: Seconds that ``chunks`` cover.
        after: Existing bars to append once it is complete.
        is_saved: Whether its files are written.
    """

    step: MusicStep
    title: str
    recipe: dict[str, Any] = field(default_factory=dict, hash=False)
    note: str = ""
    remark: str = ""
    key: str = field(default_factory=draw_key)
    chunks: tuple[Chunk, ...] = ()
    rendered: float = 0.0
    after: tuple[Bar, ...] = ()
    is_saved: bool = False

    @property
    def seed(self) -> int:
        """The seed; -1 if it was not composed here."""
        return int(self.recipe.get("seed", -1))

    def complete(self) -> Piece:
        """Return it as a complete piece, also if it was stopped."""
        if self.step.is_complete:
            return self
        settings = self.recipe.get("settings", {})
        given = len(settings.get("beginning", "").splitlines())
        upbeat = not given and self.step.has_upbeat
        # After a Stop, the recipe requests the bars that were written so far.
        settings = settings | {"bars": max(1, len(self.step.bars) - given - upbeat)}
        return replace(
            self,
            step=replace(self.step, bars=(*self.step.bars, *self.after), done=1.0),
            recipe=self.recipe | {"settings": settings},
        )


@dataclass(frozen=True)
class ComposeCommand:
    """What to compose.

    Attributes:
        number: Unique, so that a repeated command is a change of state too.
        before: Existing bars to continue.
        after: Existing bars that follow.
        bars: How many bars to compose; 0 uses the length on the page.
        controls: How it is played; None uses the controls on the page.
        note: The command in a few words.
    """

    number: int = 0
    before: tuple[Bar, ...] = ()
    after: tuple[Bar, ...] = ()
    bars: int = 0
    controls: TuneControls | None = None
    note: str = ""

    def request(self, values: dict[str, Any]) -> MusicRequest:
        """Return the request, from the values of the page. Raises InvalidRequest."""
        if self.controls:
            values = values | MusicRequest.fields_of(self.controls)
        if self.bars:
            values = values | {"bars": self.bars}
        return MusicRequest.parse(
            **values,
            beginning=write_measures(bar.measure for bar in self.before),
            ending=write_measures(bar.measure for bar in self.after),
        )

    def expect(self, step: MusicStep) -> float:
        """Estimate the final length of the piece in seconds from what is composed so far."""
        music = step.arrangement
        starts = (*music.bar_starts, music.seconds)
        kept = starts[len(self.before)] if 0 < len(self.before) < len(starts) else 0.0
        return kept + (music.seconds - kept) / min(1.0, max(step.done, 0.01))

    def recall(self, step: MusicStep) -> MusicStep:
        """Restore the token probabilities of the existing bars."""
        count = len(step.bars) - len(self.after)
        end = step.bars[count:] if step.is_complete and self.after else ()
        new = step.bars[len(self.before) : count if end else None]
        before = _recall(self.before, step.bars)
        last = before[-1].tune if before else 1
        new = tuple(replace(bar, tune=bar.tune + last - 1) for bar in new)
        return replace(step, bars=(*before, *new, *_recall(self.after, end)))


def _recall(known: Sequence[Bar], given: Sequence[Bar]) -> tuple[Bar, ...]:
    return tuple(one if one.tokens else same for one, same in zip(known, given, strict=False))


def command_more(piece: Piece) -> ComposeCommand:
    """Continue after the last bar. Raises InvalidRequest if the piece is too long for that."""
    seconds = piece.step.arrangement.seconds
    if seconds > MOST_SECONDS:
        raise InvalidRequest(
            f"This piece lasts {seconds / 60:.0f} minutes already, which is the most. Download it, "
            "or compose a new one."
        )
    return ComposeCommand(before=piece.step.bars, controls=piece.step.controls, note="goes on")


def command_variation(piece: Piece, keep: int) -> ComposeCommand:
    """Keep the first ``keep`` bars and compose the rest again. Raises InvalidRequest."""
    upbeat = piece.step.has_upbeat
    count = len(piece.step.bars) - upbeat
    if not 1 <= keep < count:
        raise InvalidRequest(
            f"Of these {count} bars, the first 1 to {count - 1} can be kept, not {keep}."
        )
    return ComposeCommand(
        before=piece.step.bars[: keep + upbeat],
        bars=count - keep,
        controls=piece.step.controls,
        note=f"varied from bar {keep + 1} on",
    )


def command_bars(piece: Piece, first: int, last: int) -> ComposeCommand:
    """Compose bars ``first`` to ``last`` again. Raises InvalidRequest."""
    bars, upbeat = piece.step.bars, piece.step.has_upbeat
    if not 1 <= first <= last <= len(bars) - upbeat:
        raise InvalidRequest(
            f"There are bars 1 to {len(bars) - upbeat}. Ask for a part of these, the first bar "
            f"before the last; {first} to {last} is none."
        )
    span = f"bar {first}" if first == last else f"bars {first} to {last}"
    return ComposeCommand(
        before=bars[: first - 1 + upbeat],
        after=bars[last + upbeat :],
        bars=last - first + 1,
        controls=piece.step.controls,
        note=f"another version of {span}",
    )


def play_so(piece: Piece, controls: TuneControls) -> Piece:
    """Return the same notes in another key and tempo and with other instruments.

    Raises:
        InvalidRequest: It would last too long.
    """
    step = play_otherwise(piece.step, controls)
    seconds = step.arrangement.seconds
    if seconds > 2 * MOST_SECONDS:
        raise InvalidRequest(
            f"So slowly, this piece would last {seconds / 60:.0f} minutes. Choose a faster tempo."
        )
    asked = {name: getattr(controls, name) for name in ("style", "mode", "meter")}
    others = [n for n, value in asked.items() if value and value != getattr(piece.step.controls, n)]
    return replace(
        piece,
        step=step,
        recipe=piece.recipe | {"played": MusicRequest.fields_of(step.controls)},
        note="the same notes, played otherwise",
        remark=f"Another {' and '.join(others)} must be composed: press Compose." if others else "",
        key=draw_key(),
        chunks=(),
        rendered=0.0,
        is_saved=False,
    )


class _SavedPiece(BaseModel):
    """The marker text that ``write_midi`` wrote; it may have been edited."""

    model_config = ConfigDict(extra="allow")

    settings: dict[str, Any] = {}
    played: dict[str, Any] = {}
    seed: Seed = -1
    measures: str


def open_midi(path: str | Path, controls: TuneControls) -> Piece:
    """Open a visitor's MIDI file.

    A file that was written here and not changed since gives the same piece again. From any other
    file, the melody is taken and played by the instruments of ``controls``.

    Raises:
        InvalidRequest: It cannot be used.
    """
    melody = read_midi(Path(path).read_bytes())
    return _restore(melody) or _take_melody(melody, controls)


def _restore(melody: Melody) -> Piece | None:
    """Return the piece from the marker text, or None if the notes of the file differ from it."""
    known = MusicRequest.model_fields.keys() - {"seed"}
    try:
        saved = _SavedPiece.model_validate_json(melody.markers[0] if melody.markers else "")
        settings = {name: saved.settings[name] for name in known & saved.settings.keys()}
        played = {name: saved.played[name] for name in known & saved.played.keys()}
        asked = MusicRequest.parse(**settings)
        step = MusicStep(
            MusicRequest.parse(**settings | played).controls,
            tuple(Bar(1, (), measure) for measure in read_measures(saved.measures)),
        )
        length = sum(bar.measure.quarters for bar in step.bars) * 60 / step.controls.tempo
        if not 0 < length <= 2 * MOST_SECONDS:  # before any work is done on a huge piece
            return None
        ours = read_midi(write_midi(step, {}))
    except (ValidationError, InvalidRequest):
        return None
    if (ours.tracks, ours.tempo) != (melody.tracks, melody.tempo):
        return None
    recipe: dict[str, Any] = saved.model_dump(
        exclude={"measures", "settings", "played"}, exclude_unset=True
    )
    recipe |= {"settings": asked.model_dump(exclude={"seed"})} if settings else {}
    recipe |= {"played": MusicRequest.fields_of(step.controls)} if played else {}
    return Piece(step, "From your MIDI file", recipe, "the same piece again")


def _take_melody(melody: Melody, controls: TuneControls) -> Piece:
    played = replace(
        controls,
        style=None,
        mode=melody.mode,
        meter=melody.measures[0].meter,
        tonic=melody.tonic,
        tempo=melody.tempo,
        # Program 0, piano, is the default of MIDI, so it does not count as a choice.
        instrument=(melody.program and find_instrument(melody.program)) or controls.instrument,
        loop=False,
    )
    quarters = melody.measures[0].quarters
    most = int(MOST_SECONDS * melody.tempo / 60 / quarters)
    bars = tuple(Bar(1, (), measure) for measure in melody.measures[:most])
    remarks = [
        *melody.notes,
        *([f"The first {most} bars were taken."] if len(melody.measures) > most else []),
    ]
    return Piece(
        MusicStep(played, bars),
        "From your MIDI file",
        {"played": MusicRequest.fields_of(played)},
        f"found {played.key_name}",
        " ".join(remarks),
    )
