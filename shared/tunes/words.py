"""Plain English words to the controls of a tune."""

from __future__ import annotations

import math
import re

from shared.tunes.controls import (
    ANY,
    FASTEST,
    INSTRUMENTS,
    METERS,
    MODES,
    QUARTERS_PER_MINUTE,
    SLOWEST,
    TuneControls,
)

_STYLE_WORDS = {
    "jig": "Jig", "double jig": "Jig", "slip jig": "SlipJig", "hop jig": "SlipJig",
    "reel": "Reel", "hornpipe": "Hornpipe", "clog": "Hornpipe", "strathspey": "Strathspey",
    "fling": "Strathspey", "march": "March", "quickstep": "March", "air": "Air", "song": "Air",
    "ballad": "Air", "lament": "Air", "lullaby": "Air", "planxty": "Air", "waltz": "Air",
    "chorale": "Chorale", "hymn": "Chorale", "bach": "Chorale", "four part": "Chorale",
}  # fmt: skip
_MODE_WORDS = {mode.lower(): mode for mode in MODES}
_METER_WORDS = {meter: meter for meter in METERS} | {"waltz": "3/4", "polka": "2/4"}
_MOOD_MODES = {
    "cheerful": "Major", "happy": "Major", "merry": "Major", "jolly": "Major", "joyful": "Major",
    "bright": "Major", "sunny": "Major", "sad": "Minor", "mournful": "Minor", "gloomy": "Minor",
    "melancholy": "Minor", "melancholic": "Minor", "sorrowful": "Minor", "dark": "Minor",
    "mysterious": "Minor", "lament": "Minor",
}  # fmt: skip
_PACES = {
    "fast": 1.25, "quick": 1.2, "lively": 1.15, "energetic": 1.2, "slow": 0.7, "calm": 0.8,
    "gentle": 0.85, "peaceful": 0.8, "dreamy": 0.75, "solemn": 0.8, "stately": 0.85, "sad": 0.85,
    "mournful": 0.8, "waltz": 1.6, "polka": 1.1, "lullaby": 0.85, "quickstep": 1.1,
}  # fmt: skip
_OTHER_INSTRUMENT_WORDS = {
    "tin whistle": "whistle", "church organ": "organ", "pan flute": "pan pipe",
    "pipes": "bagpipe", "squeezebox": "accordion", "keyboard": "piano", "voices": "choir",
}  # fmt: skip
_INSTRUMENT_WORDS = {name: name for name in INSTRUMENTS} | _OTHER_INSTRUMENT_WORDS
_USUAL_INSTRUMENTS = {"Chorale": "organ", "Air": "flute", "March": "piccolo"}

_PHRASES = sorted(
    {*_STYLE_WORDS, *_MODE_WORDS, *_METER_WORDS, *_MOOD_MODES, *_PACES, *_INSTRUMENT_WORDS},
    key=len,
    reverse=True,
)
_PHRASE = re.compile(
    r"(?<![\w/])(" + "|".join(p.replace(" ", "[ -]") for p in _PHRASES) + r")(?:e?s)?(?![\w/])"
)
_KEY = re.compile(
    r"\b(?!a (?:major|minor) (?:key|mode))([a-gA-G])(#|♯|b|♭|[ -]sharp|[ -]flat)?"
    r"(?=[ -](?:major|minor|dorian|mixolydian)\b)"
    r"|(?<=[iI]n )([A-G])(#|♯|b|♭|[ -]sharp|[ -]flat)?(?![\w#♯♭]| m)"
)
_BPM = re.compile(r"\b(\d{2,3})\s*(?:bpm|beats per minute|quarter notes? (?:a|per) minute)\b")
_FILLER = frozenset(
    [
        "a",
        "an",
        "and",
        "at",
        "by",
        "dance",
        "for",
        "from",
        "i",
        "in",
        "key",
        "like",
        "me",
        "mode",
        "music",
        "melody",
        "mood",
        "of",
        "on",
        "or",
        "piece",
        "played",
        "please",
        "some",
        "style",
        "tempo",
        "that",
        "the",
        "traditional",
        "folk",
        "irish",
        "scottish",
        "tune",
        "tunes",
        "very",
        "with",
        "write",
    ]
)


def parse_description(description: str) -> TuneControls:
    """Read style, mode, key, meter, tempo and instrument out of plain English words.

    The tune books hold next to no waltzes and no polkas: a waltz is asked for as an air in 3/4 and
    a polka as any tune in 2/4. Words that are not understood are listed, never guessed at.
    """
    key = _KEY.search(description)
    bpm = _BPM.search(description.lower())
    rest = list(description)
    understood = []
    tonic = TuneControls.tonic
    if key:
        tonic = _pitch_class(*(group for group in key.groups() if group))
        understood.append(key[0])
        rest[slice(*key.span())] = " " * len(key[0])
    if bpm:
        understood.append(bpm[0])
        rest[slice(*bpm.span())] = " " * len(bpm[0])
    text = "".join(rest).lower()
    phrases = [match[1].replace("-", " ") for match in _PHRASE.finditer(text)]
    words = re.findall(r"[^\W_](?:[\w'/-]*[^\W_])?", _PHRASE.sub(" ", text))

    style = _last(phrases, _STYLE_WORDS)
    instrument = _last(phrases, _INSTRUMENT_WORDS) or _USUAL_INSTRUMENTS.get(style or "", "fiddle")
    pace = math.prod(_PACES.get(phrase, 1.0) for phrase in phrases)
    tempo = int(bpm[1]) if bpm else round(QUARTERS_PER_MINUTE[style or ANY] * pace)
    return TuneControls(
        style=style,
        mode=_last(phrases, _MODE_WORDS) or _last(phrases, _MOOD_MODES),
        meter=_last(phrases, _METER_WORDS),
        tonic=tonic,
        tempo=min(max(tempo, SLOWEST), FASTEST),
        instrument=instrument,
        understood=tuple(dict.fromkeys(understood + phrases)),
        unknown=tuple(dict.fromkeys(word for word in words if word not in _FILLER)),
    )


def _last(phrases: list[str], meanings: dict[str, str]) -> str | None:
    """Return the meaning of the last phrase that has one: "Bach march" is a march."""
    known = [meanings[phrase] for phrase in phrases if phrase in meanings]
    return known[-1] if known else None


def _pitch_class(letter: str, accidental: str = "") -> int:
    """Return the pitch class, 0 to 11, of a note name such as ``B`` and ``-flat``."""
    sign = accidental.strip(" -")
    shift = {"#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}.get(sign, 0)
    return ({"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}[letter.lower()] + shift) % 12
