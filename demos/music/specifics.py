"""Parses key, tempo and length, in figures or in words, from a description."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.tunes.controls import FASTEST, SLOWEST, TuneControls

_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen",
          "eighteen", "nineteen")  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_NUMBERS: dict[str, float] = {
    "a": 1, "an": 1, "half a": 0.5, "half an": 0.5,
    **{word: number for number, word in enumerate((*_ONES, *_TEENS), 1)},
    **{word: 10 * number for number, word in enumerate(_TENS, 2)},
}  # fmt: skip
_COUNT = (
    rf"(?:\d{{1,4}}|(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(_ONES)}))?|{'|'.join(_TEENS + _ONES)})"
)
_AMOUNT = rf"(?:\d{{1,4}}\.\d+|{_COUNT}|half\ an?|an?)(?:\ and\ a\ half)?"
# What may follow "at 120" or "in d". So "at 120 degrees" and "in d flight" do not match.
_END = (
    r"(?=\s*(?:$|[,;!?)\d]|\.(?!\d)|"
    r"(?:and|alone|at|by|for|in|on|played|please|solo|with|without)\b))"
)
_MODES = {
    "major": "Major", "maj": "Major", "minor": "Minor", "min": "Minor", "m": "Minor",
    "dorian": "Dorian", "mixolydian": "Mixolydian",
}  # fmt: skip

_KEY = re.compile(
    rf"""
    (?P<lead>\b(?:in|key(?:\ of|:)?)\s+)?
    (?<![\w'’/\#♯♭-]) (?P<letter>[a-h]) (?P<sign>[\#♯b♭]|[ -]?(?:sharp|flat))?
    (?:[ -]?(?P<mode>major|maj|minor|min|dorian|mixolydian)\b
      |(?-i:(?<=[A-H\#♯b♭])(?P<short>m))\b
      |(?![\w\#♯♭'’-]))
    (?P<end>{_END})?
    """,
    re.VERBOSE | re.IGNORECASE,
)
_TEMPO = re.compile(
    rf"""
    \b(?:(?:tempo|bpm)(?:\ of|\ is)?\s*[:=]?\s*)? \d{{1,4}}
        \s*(?:bpm|(?:beats|crotchets|quarters|quarter\ notes?)\ (?:a|per)\ minute)\b
    |\b(?:tempo|bpm)(?:\ of|\ is)?\s*[:=]?\s*\d{{1,4}}\b(?![:/])
    |(?:crotchet|quarter(?:\ note)?|♩)?\s*=\s*\d{{2,4}}\b
    |\bat\ \d{{2,4}}\b{_END}
    """,
    re.VERBOSE,
)
_BARS = re.compile(rf"\b(?P<bars>{_COUNT})[ -]?(?:bars?|measures?)\b(?: long)?")
_LENGTH = re.compile(
    rf"""
    (?<!\bthe\ ) (?<![\w'’:/.])
    (?:(?P<minute>\d{{1,2}}):(?P<second>[0-5]\d)
      |(?P<minutes>{_AMOUNT})[ -]?min(?:ute)?s?(?:\ and\ a\ half)?
          (?:,?\ (?:and\ )?(?P<more>{_COUNT})[ -]?s(?:ec(?:ond)?s?)?)?
      |(?P<seconds>{_AMOUNT})[ -]?sec(?:ond)?s?
      # "80s" may be a decade: it is a length where nothing else is called so.
      |(?P<short>\d{{1,3}})\ ?s(?={_END}|\ of\b|\ long\b))
    \b(?!:)(?:\ long)?
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Specifics:
    """Key, tempo and length from a text; None if the text does not give them.

    Attributes:
        tonic: Pitch class of the key note, 0 (C) to 11 (B).
        mode: Major, Minor, Dorian or Mixolydian, if it is named next to the key note.
        tempo: Quarter notes per minute, not yet checked.
        bars: Length in bars.
        seconds: Length in seconds.
        phrases: The words of the text that were matched.
        rest: The other words, in lower case.
    """

    tonic: int | None
    mode: str | None
    tempo: int | None
    bars: int | None
    seconds: float | None
    phrases: tuple[str, ...]
    rest: str


def read_specifics(text: str) -> Specifics:
    """Find the first key, tempo, length in bars and length in seconds in ``text``."""
    key = next(filter(_is_key, _KEY.finditer(text)), None)
    said = [key]
    rest = _blank(text, key).lower()
    for pattern in (_TEMPO, _BARS, _LENGTH):
        said.append(pattern.search(rest))
        rest = _blank(rest, said[-1])
    _, tempo, bars, length = said
    return Specifics(
        tonic=_pitch_class(key["letter"], key["sign"] or "") if key else None,
        mode=_MODES.get((key["mode"] or key["short"] or "").lower()) if key else None,
        tempo=int(re.sub(r"\D", "", tempo[0])) if tempo else None,
        bars=int(_number(bars["bars"])) if bars else None,
        seconds=_seconds(length) if length else None,
        phrases=tuple(match[0].strip() for match in said if match),
        rest=rest,
    )


def explain_specifics(said: Specifics) -> str:
    """Return the meaning of the only phrase in ``said``; "" if the phrase is clear by itself."""
    phrase = said.phrases[0]
    if said.tonic is not None:
        name = TuneControls(tonic=said.tonic, mode=said.mode).key_name
        short = re.sub("[ -]?flat", "b", re.sub("[ -]?sharp", "#", phrase.lower()))
        return "key" if name.lower() in short else f"key of {name}"
    if said.tempo is not None:
        if not SLOWEST <= said.tempo <= FASTEST:
            least = said.tempo < SLOWEST
            return f"{SLOWEST} is the slowest" if least else f"{FASTEST} is the fastest"
        return "" if re.search("tempo|bpm|minute", phrase) else "tempo"
    return "" if said.bars is not None or re.search("min|sec", phrase) else "length"


def _is_key(found: re.Match[str]) -> bool:
    """Whether a match is a key and not another letter, such as the article "a"."""
    if found["letter"] == "a" and not found["sign"]:
        says = found["mode"] and (found["lead"] or found["mode"].lower() != "min")  # half a min
        return bool(says and found["end"] is not None)
    if found["mode"] or found["short"]:
        return True
    return bool(found["lead"] and (found["letter"].isupper() or found["end"] is not None))


def _blank(text: str, found: re.Match[str] | None) -> str:
    return f"{text[: found.start()]} , {text[found.end() :]}" if found else text


def _pitch_class(letter: str, sign: str) -> int:
    """Return the pitch class, 0 to 11, of a note such as ``B`` and ``-flat``; H is German for B."""
    shift = {"": 0, "#": 1, "♯": 1, "sharp": 1}.get(sign.strip(" -").lower(), -1)
    return ("c d ef g a b".index(letter.lower().replace("h", "b")) + shift) % 12


def _number(said: str) -> float:
    """Return the value of what ``_COUNT`` or ``_AMOUNT`` matches."""
    number, half, _ = said.partition(" and a half")
    words = [number] if number in _NUMBERS else re.split("[ -]", number)
    return sum(_NUMBERS[w] if w in _NUMBERS else float(w) for w in words) + (0.5 if half else 0)


def _seconds(said: re.Match[str]) -> float:
    if said["minute"]:
        return 60.0 * int(said["minute"]) + int(said["second"])
    if said["minutes"]:
        # "and a half" can follow the number or the unit: "a minute and a half".
        minutes = _number(said["minutes"].removesuffix(" and a half"))
        minutes += 0.5 * ("and a half" in said[0])
        return 60 * minutes + (_number(said["more"]) if said["more"] else 0.0)
    return _number(said["seconds"] or said["short"])
