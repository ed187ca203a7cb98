"""Plain English words to the controls of a tune."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from shared.tunes.controls import (
    ANY,
    FASTEST,
    INSTRUMENTS,
    METERS,
    MODES,
    QUARTERS_PER_MINUTE,
    SLOWEST,
    STYLE_NAMES,
    STYLES,
    TuneControls,
)

_STYLE_WORDS = {
    "jig": "Jig", "double jig": "Jig", "slip jig": "SlipJig", "hop jig": "SlipJig",
    "reel": "Reel", "hornpipe": "Hornpipe", "clog": "Hornpipe", "strathspey": "Strathspey",
    "fling": "Strathspey", "march": "March", "quickstep": "March", "fanfare": "March",
    "air": "Air", "ballad": "Air", "lament": "Air", "lullaby": "Air", "planxty": "Air",
    "waltz": "Air", "chorale": "Chorale", "hymn": "Chorale", "bach": "Chorale",
    "four part": "Chorale", "lied": "Lied", "lieder": "Lied", "art song": "Lied",
    "song with piano": "Lied", "schubert": "Lied", "schumann": "Lied", "song": "Air",
}  # fmt: skip
_STYLE_WORDS = {word: style for word, style in _STYLE_WORDS.items() if style in STYLES}
_MODE_WORDS = {mode.lower(): mode for mode in MODES}
_METER_WORDS = {meter: meter for meter in METERS} | {"waltz": "3/4", "polka": "2/4"}
_MOOD_MODES = {
    "cheerful": "Major", "happy": "Major", "merry": "Major", "jolly": "Major", "joyful": "Major",
    "bright": "Major", "sunny": "Major", "warm": "Major", "triumphant": "Major", "fanfare": "Major",
    "heroic": "Major", "sad": "Minor", "mournful": "Minor", "gloomy": "Minor", "wistful": "Minor",
    "melancholy": "Minor", "melancholic": "Minor", "sorrowful": "Minor", "dark": "Minor",
    "mysterious": "Minor", "spooky": "Minor", "lament": "Minor",
}  # fmt: skip
_PACES = {
    "fast": 1.25, "quick": 1.2, "brisk": 1.15, "lively": 1.15, "energetic": 1.2, "slow": 0.7,
    "calm": 0.8, "relaxed": 0.85, "soft": 0.9, "gentle": 0.85, "peaceful": 0.8, "quiet": 0.85,
    "dreamy": 0.75, "sleepy": 0.75, "solemn": 0.8, "stately": 0.85, "sad": 0.85, "mournful": 0.8,
    "moderate": 1.0, "waltz": 1.6, "polka": 1.1, "lullaby": 0.85, "quickstep": 1.1, "fanfare": 1.1,
}  # fmt: skip
_OTHER_INSTRUMENT_WORDS = {
    "tin whistle": "whistle", "church organ": "organ", "pan flute": "pan pipe",
    "pipes": "bagpipe", "squeezebox": "accordion", "keyboard": "piano", "voices": "choir",
    "french horn": "horn", "sax": "saxophone", "string orchestra": "strings", "bell": "celesta",
    "brass band": "brass", "chiptune": "chip", "8 bit": "chip",
    "plucked strings": "pizzicato",
}  # fmt: skip
_INSTRUMENT_WORDS = {name: name for name in INSTRUMENTS} | _OTHER_INSTRUMENT_WORDS
_USUAL_INSTRUMENTS = {"Chorale": "organ", "Air": "flute", "March": "piccolo", "Lied": "oboe"}
# What accompanies when nothing is said: whatever plucks or strikes keeps out of the melody's way.
_USUAL_ACCOMPANIMENTS = {"Chorale": None, "Lied": "piano", "March": "brass", "Air": "harp"}
_ALONE = {"solo", "alone", "unaccompanied", "without accompaniment", "no accompaniment"}
_LOOP = {"loop", "loopable", "looping", "seamless", "game level", "level loop"}

_PHRASES = sorted(
    {*_STYLE_WORDS, *_MODE_WORDS, *_METER_WORDS, *_MOOD_MODES, *_PACES, *_INSTRUMENT_WORDS}
    | _ALONE
    | _LOOP,
    key=len,
    reverse=True,
)
_ANY_PHRASE = "|".join(re.escape(p).replace(r"\ ", "[ -]") for p in _PHRASES)
_PHRASE = re.compile(rf"(?<![\w/])({_ANY_PHRASE})(?:e?s)?(?![\w/])")
# What is not wanted is listed as not understood, and never taken for a wish.
_REFUSED = re.compile(
    r"(?<![\w/])(?:no|not|without) (?:an? |any |the |too |very )?"
    rf"(?:{_ANY_PHRASE})(?:e?s)?(?![\w/])"
)
_KEY = re.compile(
    r"\b(?!a (?:major|minor) (?:key|mode))([a-gA-G])(#|♯|b|♭|[ -]sharp|[ -]flat)?"
    r"(?=[ -](?:major|minor|dorian|mixolydian)\b)"
    r"|(?<=[iI]n )([A-G])(#|♯|b|♭|[ -]sharp|[ -]flat)?(?![\w#♯♭]| m)"
)
_NOTE = re.compile(r"([a-gA-G])(#|♯|b|♭|[ -]sharp|[ -]flat)?")
_BPM = re.compile(r"\b(\d{1,4})\s*(?:bpm|beats per minute|quarter notes? (?:a|per) minute)\b")
_BARS = re.compile(r"\b(\d{1,4})[ -](?:bars?|measures?)\b(?: long)?")
_SECONDS = re.compile(
    r"\b(\d{1,4}|an?|one|two|half an?)[ -](?:(s(?:ec(?:ond)?s?)?)|min(?:ute)?s?)\b(?: long)?"
)
_NUMBER_WORDS = {"a": 1.0, "an": 1.0, "one": 1.0, "two": 2.0, "half a": 0.5, "half an": 0.5}
_FILLER = frozenset(
    ["a", "about", "an", "and", "accompanied", "accompaniment", "at", "background", "by", "dance",
     "folk", "for", "from", "game", "i", "in", "irish", "it", "key", "level", "like", "long", "me",
     "melody", "mode", "mood", "music", "of", "on", "or", "piece", "played", "please", "scottish",
     "some", "something", "style", "tempo", "that", "the", "to", "traditional", "tune", "tunes",
     "very", "with", "write"]
)  # fmt: skip


def parse_description(description: str, chosen: Mapping[str, Any] | None = None) -> TuneControls:
    """Read what is asked for out of plain English words; what was ``chosen`` by hand goes first.

    The tune books hold next to no waltzes and no polkas: a waltz is asked for as an air in 3/4 and
    a polka as any tune in 2/4. Of two instruments the first plays the melody and the other one
    accompanies. Words that are not understood are listed, never guessed at.

    Args:
        description: Any text.
        chosen: Fields of ``TuneControls`` by name. A tempo that is not among them follows from the
            style, an instrument likewise.
    """
    chosen = chosen or {}
    text, said = _without(description, _KEY)
    key = _KEY.search(description)
    text = text.lower()
    numbers: dict[str, re.Match[str] | None] = {}
    for name, pattern in (("bpm", _BPM), ("bars", _BARS), ("seconds", _SECONDS)):
        numbers[name] = pattern.search(text)
        text, found = _without(text, pattern)
        said += found
    refused = _REFUSED.findall(text)
    text = _REFUSED.sub(" ", text)
    phrases = [match[1].replace("-", " ") for match in _PHRASE.finditer(text)]
    words = re.findall(r"[^\W_](?:[\w'/-]*[^\W_])?", _PHRASE.sub(" ", text))

    style = chosen.get("style", _last(phrases, _STYLE_WORDS))
    players = [_INSTRUMENT_WORDS[phrase] for phrase in phrases if phrase in _INSTRUMENT_WORDS]
    pace = math.prod(_PACES.get(phrase, 1.0) for phrase in phrases)
    bpm = numbers["bpm"]
    tempo = int(bpm[1]) if bpm else round(QUARTERS_PER_MINUTE[style or ANY] * pace)
    instrument = players[0] if players else _USUAL_INSTRUMENTS.get(style or "", "fiddle")
    return TuneControls(
        **{
            "style": style,
            "mode": _last(phrases, _MODE_WORDS) or _last(phrases, _MOOD_MODES),
            "meter": _last(phrases, _METER_WORDS),
            "tonic": _pitch_class(*(g for g in key.groups() if g)) if key else TuneControls.tonic,
            "tempo": min(max(tempo, SLOWEST), FASTEST),
            "instrument": instrument,
            "accompaniment": _accompaniment(phrases, players, style),
            "bars": int(numbers["bars"][1]) if numbers["bars"] else None,
            "seconds": _seconds(numbers["seconds"]),
            "loop": not _LOOP.isdisjoint(phrases),
            "understood": tuple(dict.fromkeys(said + phrases)),
            "unknown": tuple(
                dict.fromkeys([*refused, *(word for word in words if word not in _FILLER)])
            ),
            **chosen,
        }
    )


def explain_phrase(phrase: str) -> str:
    """Say what a phrase of ``TuneControls.understood`` was taken for; "" if it says so itself."""
    if _NOTE.fullmatch(phrase):
        return "key"
    if _BPM.search(phrase) or _BARS.search(phrase) or _SECONDS.search(phrase):
        return ""
    style, mode = _STYLE_WORDS.get(phrase), _MODE_WORDS.get(phrase) or _MOOD_MODES.get(phrase)
    pace = _PACES.get(phrase, 1.0)
    meanings = [
        STYLE_NAMES.get(style, style).lower() if style else "",
        _METER_WORDS.get(phrase, ""),
        mode.lower() if mode else "",
        "faster" if pace > 1 else "slower" if pace < 1 else "",
        _INSTRUMENT_WORDS.get(phrase, ""),
        "no accompaniment" if phrase in _ALONE else "",
        "seamless loop" if phrase in _LOOP else "",
    ]
    return ", ".join(meaning for meaning in meanings if meaning not in ("", phrase))


def _without(text: str, pattern: re.Pattern[str]) -> tuple[str, list[str]]:
    """Return ``text`` with the first match of ``pattern`` blanked out, and that match."""
    found = pattern.search(text)
    if not found:
        return text, []
    start, end = found.span()
    return text[:start] + " " * (end - start) + text[end:], [found[0]]


def _last(phrases: list[str], meanings: dict[str, str]) -> str | None:
    """Return the meaning of the last phrase that has one: "Bach march" is a march."""
    known = [meanings[phrase] for phrase in phrases if phrase in meanings]
    return known[-1] if known else None


def _accompaniment(phrases: list[str], players: list[str], style: str | None) -> str | None:
    if not _ALONE.isdisjoint(phrases):
        return None
    if len(players) > 1:
        return players[1]
    usual = _USUAL_ACCOMPANIMENTS.get(style or "", "guitar")
    return "piano" if usual in players else usual


def _seconds(said: re.Match[str] | None) -> float | None:
    if not said:
        return None
    number = _NUMBER_WORDS.get(said[1]) or float(said[1])
    return number if said[2] else 60 * number


def _pitch_class(letter: str, accidental: str = "") -> int:
    """Return the pitch class, 0 to 11, of a note name such as ``B`` and ``-flat``."""
    sign = accidental.strip(" -")
    shift = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}.get(sign, 0)
    return ({"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}[letter.lower()] + shift) % 12
