"""Parses a description in plain English into ``TuneControls``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from demos.music.specifics import explain_specifics, read_specifics
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
    "happily": "Major", "merrily": "Major",
    "bright": "Major", "sunny": "Major", "warm": "Major", "triumphant": "Major", "fanfare": "Major",
    "heroic": "Major", "sad": "Minor", "mournful": "Minor", "gloomy": "Minor", "wistful": "Minor",
    "melancholy": "Minor", "melancholic": "Minor", "sorrowful": "Minor", "dark": "Minor",
    "mysterious": "Minor", "spooky": "Minor", "lament": "Minor",
}  # fmt: skip
# Factors on the usual tempo of the style. Musical terms such as andante are factors too, because
# they count beats, and a beat is a quarter in an air, a half in a reel, three eighths in a jig.
# Without a style, the tempo of a musical term is about the one that is printed on a metronome.
_PACES = {
    "fast": 1.25, "quick": 1.2, "brisk": 1.15, "lively": 1.15, "energetic": 1.2, "slow": 0.7,
    "swift": 1.2, "rapid": 1.25, "upbeat": 1.15, "up tempo": 1.2, "uptempo": 1.2, "leisurely": 0.8,
    "calm": 0.8, "relaxed": 0.85, "soft": 0.9, "gentle": 0.85, "gently": 0.85, "peaceful": 0.8,
    "quiet": 0.85, "dreamy": 0.75, "sleepy": 0.75, "solemn": 0.8, "stately": 0.85, "sad": 0.85,
    "mournful": 0.8, "moderate": 1.0, "moderately": 1.0, "medium": 1.0, "waltz": 1.6, "polka": 1.1,
    "lullaby": 0.85, "quickstep": 1.1, "fanfare": 1.1, "grave": 0.4, "largo": 0.5, "lento": 0.55,
    "larghetto": 0.6, "adagio": 0.65, "andante": 0.8, "moderato": 1.0, "allegretto": 1.05,
    "allegro": 1.2, "vivace": 1.4, "presto": 1.6, "prestissimo": 1.8,
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
# Default accompaniments; plucked and struck instruments do not cover the melody.
_USUAL_ACCOMPANIMENTS = {"Chorale": None, "Lied": "piano", "March": "brass", "Air": "harp"}
_ALONE = {
    "solo", "alone", "unaccompanied",
    "without accompaniment", "no accompaniment", "without chords", "no chords",
}  # fmt: skip
_LOOP = {"loop", "loopable", "looping", "seamless", "game level", "level loop"}

_PHRASES = sorted(
    {*_STYLE_WORDS, *_MODE_WORDS, *_METER_WORDS, *_MOOD_MODES, *_PACES, *_INSTRUMENT_WORDS}
    | _ALONE
    | _LOOP,
    key=len,
    reverse=True,
)
_ANY_PHRASE = "|".join(re.escape(p).replace(r"\ ", "[ -]") for p in _PHRASES)
_ENDING = r"(?:e?s|ly|er)?(?![\w/])"  # jigs, slowly, faster
_PHRASE = re.compile(rf"(?<![\w/])({_ANY_PHRASE}){_ENDING}")
VERY = 1.5  # exponent of a tempo factor after "very"
_VERY = re.compile(r"(?<!\w)(?:very|really|extremely)[ -]+$")
# Negated phrases are not parsed, but listed as not understood.
_REFUSED = re.compile(
    r"(?<![\w/])(?:no|not|without|except|never) (?:in )?(?:an? |any |the |too |very )?"
    rf"(?:{_ANY_PHRASE}){_ENDING}"
)
_FILLER = frozenset(
    ["a", "about", "an", "and", "accompanied", "accompaniment", "at", "background", "by", "dance",
     "folk", "for", "from", "game", "i", "in", "irish", "it", "key", "level", "like", "long", "me",
     "melody", "mode", "mood", "music", "of", "on", "or", "piece", "played", "please", "scottish",
     "really", "extremely", "some", "something", "style", "tempo", "that", "the", "to",
     "traditional", "tune", "tunes", "very", "with", "write"]
)  # fmt: skip


def parse_description(description: str, chosen: Mapping[str, Any] | None = None) -> TuneControls:
    """Parse a description in plain English; fields in ``chosen`` override it.

    The training data has almost no waltzes and no polkas, so a waltz becomes an air in 3/4, and a
    polka any tune in 2/4. Of two instruments, the first plays the melody and the second the
    accompaniment. Words that are not understood are listed in ``unknown``.

    Args:
        description: Any text.
        chosen: Fields of ``TuneControls`` by name. The defaults of tempo and instruments depend on
            the style.
    """
    chosen = chosen or {}
    said = read_specifics(description)
    refused = _REFUSED.findall(said.rest)
    text = _REFUSED.sub(" ", said.rest)
    matches = list(_PHRASE.finditer(text))
    phrases = [match[1].replace("-", " ") for match in matches]
    words = re.findall(r"[^\W_](?:[\w'/-]*[^\W_])?", _PHRASE.sub(" ", text))

    style = chosen.get("style", _last(phrases, _STYLE_WORDS))
    players = [_INSTRUMENT_WORDS[phrase] for phrase in phrases if phrase in _INSTRUMENT_WORDS]
    powers = [VERY if _VERY.search(text, 0, match.start()) else 1 for match in matches]
    pace = math.prod(_PACES.get(o, 1.0) ** power for o, power in zip(phrases, powers, strict=True))
    usual = round(QUARTERS_PER_MINUTE[style or ANY] * pace)
    tempo = usual if said.tempo is None else said.tempo
    instrument = players[0] if players else _USUAL_INSTRUMENTS.get(style or "", "fiddle")
    accompaniment = _accompaniment(phrases, players, style)
    # "no guitar" is understood if the guitar would be the accompaniment.
    heeded = [one for one in refused if accompaniment and accompaniment in one.split()]
    return TuneControls(
        **{
            "style": style,
            "mode": said.mode or _last(phrases, _MODE_WORDS) or _last(phrases, _MOOD_MODES),
            "meter": _last(phrases, _METER_WORDS),
            "tonic": TuneControls.tonic if said.tonic is None else said.tonic,
            "tempo": min(max(tempo, SLOWEST), FASTEST),
            "instrument": instrument,
            "accompaniment": None if heeded else accompaniment,
            "bars": said.bars,
            "seconds": said.seconds,
            "loop": not _LOOP.isdisjoint(phrases),
            "understood": tuple(dict.fromkeys([*said.phrases, *phrases, *heeded])),
            "unknown": tuple(
                dict.fromkeys(
                    [
                        *(one for one in refused if one not in heeded),
                        *(word for word in words if word not in _FILLER),
                    ]
                )
            ),
            **chosen,
        }
    )


def explain_phrase(phrase: str) -> str:
    """Return the meaning of a phrase in ``TuneControls.understood``; "" if it is obvious."""
    if (said := read_specifics(phrase)).phrases:
        return explain_specifics(said)
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


def _last(phrases: list[str], meanings: dict[str, str]) -> str | None:
    """Return the meaning of the last phrase in ``meanings``: "Bach march" is a march."""
    known = [meanings[phrase] for phrase in phrases if phrase in meanings]
    return known[-1] if known else None


def _accompaniment(phrases: list[str], players: list[str], style: str | None) -> str | None:
    if not _ALONE.isdisjoint(phrases):
        return None
    if len(players) > 1:
        return players[1]
    usual = _USUAL_ACCOMPANIMENTS.get(style or "", "guitar")
    return "piano" if usual in players else usual
