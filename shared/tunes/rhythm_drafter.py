"""Drafts the next tokens of a tune from its rhythm so far, for speculative decoding.

The pitches of a melody cannot be guessed, but its rhythm repeats, and a note usually begins where
the previous one ends. A wrong draft costs little: see ``shared.sampling.TokenSequence``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from shared.tunes.tokens import CONTROLS, POSITIONS_PER_BEAT, length_of, value_of

if TYPE_CHECKING:
    from miditok import MusicTokenizer


class RhythmDrafter:
    """Drafts tokens of one tune; each call gets the tune so far."""

    def __init__(self, tokenizer: MusicTokenizer) -> None:
        self._ids: dict[str, int] = tokenizer.vocab
        self._names: dict[int, str] = {id_: name for name, id_ in tokenizer.vocab.items()}
        self._melody = self._ids.get("Scoring_Melody")
        self._read = 0  # number of tokens read
        self._meter = ""
        self._place = (0, 0)  # position in the bar, and number of notes begun there
        self._durations: dict[tuple[int, int], str] = {}  # latest duration token at each place

    def __call__(self, ids: Sequence[int]) -> list[int]:
        """Return a draft of what follows ``ids``, which must extend those of the previous call."""
        for id_ in ids[self._read :]:
            self._observe(self._names[id_])
        self._read = len(ids)
        is_melody = self._melody in ids[: len(CONTROLS)]
        return [self._ids[name] for name in self._foretell(self._names[ids[-1]], is_melody)]

    def _observe(self, name: str) -> None:
        match name.split("_")[0]:
            case "TimeSig":
                self._meter = name
            case "Position":
                self._place = (value_of(name), 0)
            case "Duration":
                self._durations[self._place] = name
                self._place = (self._place[0], self._place[1] + 1)

    def _foretell(self, last: str, is_melody: bool) -> list[str]:
        match last.split("_")[0]:
            case "Bar" if self._meter:
                return [self._meter, "Position_0"]
            case "TimeSig":
                return ["Position_0"]
            case "Pitch" if self._place in self._durations:
                duration = self._durations[self._place]
                return [duration, *(self._foretell(duration, True) if is_melody else [])]
            case "Duration" if is_melody:
                end = self._place[0] + length_of(last)
                bar = POSITIONS_PER_BEAT * int(self._meter.removeprefix("TimeSig_").split("/")[0])
                return [f"Position_{end}"] if end < bar else ["Bar_None", self._meter, "Position_0"]
        return []
