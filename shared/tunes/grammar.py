"""Restricts sampling to token sequences that are valid bars."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from shared.tunes.tokens import CONTROLS, POSITIONS_PER_BEAT, length_of, value_of

if TYPE_CHECKING:
    import torch
    from miditok import MusicTokenizer

TRIAD, FIFTH = 3, 7  # least number of notes in a closing chord; interval in semitones


class BarGrammar:
    """A logits processor that allows only tokens that form valid bars.

    A bar is a bar line, a meter (the same as in the bar before), and then positions in increasing
    order, each with one or more notes. A note is a pitch and a duration; sung notes are marked and
    come before the others. In a melody no note begins before the previous one has ended. A trained
    model rarely breaks these rules; with them, even an untrained model gives a playable score.

    With ``is_ending``, the key note begins on the last strong beat of the bar and is held to the
    end. If there are several parts, it is the lowest note of a chord of the key.
    """

    def __init__(
        self,
        tokenizer: MusicTokenizer,
        *,
        longest_bar: int,
        highest_pitch: int,
        is_ending: bool = False,
    ) -> None:
        """Make the rule for the vocabulary of ``tokenizer``.

        Args:
            tokenizer: The model's tokenizer.
            longest_bar: Tokens after which a bar must end; real bars are much shorter.
            highest_pitch: MIDI pitch of the highest note that is allowed.
            is_ending: Whether bars must end on the key note.
        """
        self._names: dict[int, str] = {id_: name for name, id_ in tokenizer.vocab.items()}
        self._ids: dict[str, int] = tokenizer.vocab
        self._kinds: dict[str, list[int]] = {}
        for name, id_ in self._ids.items():
            kind, value = name.split("_", 1)
            if kind != "Pitch" or int(value) <= highest_pitch:
                self._kinds.setdefault(kind, []).append(id_)
        self._melody = self._ids.get("Scoring_Melody")
        self._song = self._ids.get("Scoring_VoicePiano")
        self._longest_bar = longest_bar
        self._is_ending = is_ending
        self._hiding: dict[tuple[int, ...], torch.Tensor] = {}  # logit mask by allowed ids

    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Set the logits (1, V) of tokens that cannot follow ``ids`` (1, T) to minus infinity."""
        import torch

        allowed = tuple(self.next_ids(ids[0].tolist()))
        if allowed not in self._hiding:
            self._hiding[allowed] = torch.full_like(logits[0], -torch.inf)
            self._hiding[allowed][list(allowed)] = 0
        return logits + self._hiding[allowed]

    def next_ids(self, ids: list[int]) -> list[int]:
        """Return the ids that can follow ``ids``, which must contain a bar line."""
        start = len(ids) - 1 - ids[::-1].index(self._ids["Bar_None"])
        bar = [self._names[id_] for id_ in ids[start:]]
        allowed = self._next_ids(ids, bar, start)
        if self._is_ending and len(bar) > 1:
            is_melody = self._melody in ids[: len(CONTROLS)]
            at_rest = [
                id_ for id_ in allowed if _leads_to_rest(bar, self._names[id_], is_melody=is_melody)
            ]
            return at_rest or allowed  # a note of the bar before may last beyond that beat
        return allowed

    def _next_ids(self, ids: list[int], bar: list[str], start: int) -> list[int]:
        """Return what can follow in any bar; ``bar`` holds the token names from ``start`` on."""
        head = ids[: len(CONTROLS)]
        sung = self._kinds["Voice"] if self._song in head else []
        match bar[-1].split("_")[0]:
            case "Bar":
                before = [id_ for id_ in ids if id_ in self._kinds["TimeSig"]]
                return before[-1:] or self._kinds["TimeSig"]
            case "Position":
                return sung + self._kinds["Pitch"]
            case "Voice":
                return self._kinds["Pitch"]
            case "Pitch":
                return self._kinds["Duration"]
        ends = [self._ids["Bar_None"], *([self._ids["EOS_None"]] if len(bar) > 2 else [])]
        if len(bar) >= self._longest_bar:
            return ends
        length = POSITIONS_PER_BEAT * int(bar[1].removeprefix("TimeSig_").split("/")[0])
        first = max((value_of(name) for name in bar if name.startswith("Position")), default=-1) + 1
        if self._melody in head:
            first = max(first, _end(bar), _end(self._bar_before(ids, start)) - length)
        chord = self._kinds["Pitch"] if len(bar) > 2 else []
        if chord and bar[-3].startswith("Voice"):
            chord = sung + chord
        later = (self._ids[f"Position_{position}"] for position in range(first, length))
        return [*ends, *chord, *later]

    def _bar_before(self, ids: list[int], start: int) -> list[str]:
        """Return the token names of the bar that ends at ``start``; empty before the first bar."""
        line = self._ids["Bar_None"]
        before = next((place for place in range(start - 1, -1, -1) if ids[place] == line), start)
        return [self._names[id_] for id_ in ids[before:start]]


def _leads_to_rest(bar: list[str], name: str, *, is_melody: bool) -> bool:
    """Whether a last bar may continue with the token ``name``; see ``BarGrammar``."""
    beats, unit = map(int, bar[1].removeprefix("TimeSig_").split("/"))
    beat = 3 if unit == 8 else 1
    strong = POSITIONS_PER_BEAT * beat * (beats // beat // 2)
    position = max((value_of(one) for one in bar if one.startswith("Position")), default=-1)
    kind = name.split("_")[0]
    if kind == "Position":
        return value_of(name) <= strong > position
    if kind == "Duration":
        end = position + length_of(name)
        return end <= strong if position < strong else end == POSITIONS_PER_BEAT * beats
    if kind in ("Bar", "EOS") and position < strong:
        return False
    if position < strong:
        return True
    rest = bar.index(f"Position_{position}")
    before, chord = _unsung(bar[:rest]), _unsung(bar[rest:])
    if kind in ("Bar", "EOS"):
        return len(chord) >= (1 if is_melody else TRIAD)
    if kind != "Pitch":
        return True
    pitch = value_of(name)
    if bar[-1].startswith("Voice"):
        return pitch % 12 == 0
    if not chord:  # the lowest note comes first
        return pitch % 12 == 0 and pitch <= min(before, default=pitch) + FIFTH
    thirds = {one % 12 for one in chord} & {3, 4}
    return pitch > chord[-1] and pitch % 12 in {0, FIFTH, *(thirds or {3, 4})}


def _unsung(names: list[str]) -> list[int]:
    """Return the pitches of the notes that are not sung."""
    pairs = pairwise(["", *names])
    notes = (name for before, name in pairs if not before.startswith("Voice"))
    return [value_of(name) for name in notes if name.startswith("Pitch")]


def _end(bar: list[str]) -> int:
    """Return the position at which the last note of a bar ends, 0 without notes."""
    end = position = 0
    for name in bar:
        kind, value = name.split("_", 1)
        if kind == "Position":
            position = int(value)
        elif kind == "Duration":
            end = max(end, position + length_of(name))
    return end
