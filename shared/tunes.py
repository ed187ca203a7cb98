"""Tunes: plain words to control tokens, note tokens to a score, a score to sound.

The music model reads and writes REMI tokens (Huang and Yang 2020, "Pop Music Transformer",
https://arxiv.org/abs/2002.00212) as miditok makes them, without velocities. A sequence is

    Style_x Mode_x BOS | Bar TimeSig_6/8 Position_0 Pitch_67 Duration_1.0.12 Position_12 ... | EOS

Every bar starts with ``Bar`` and its time signature, so a bar is over as soon as the next ``Bar``
or ``EOS`` appears. ``Style_Any`` and ``Mode_Any`` stand for "not said". A window that begins in the
middle of a tune has the two control tokens but no ``BOS``.

The model knows one tonic only: tunes were moved to C before training, and what it writes is moved
to the key that was asked for. Every key is then equally well known, and always met.
"""

from __future__ import annotations

import importlib.util
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shared.errors import GalleryError

if TYPE_CHECKING:
    from miditok import REMI
    from symusic import Score, Synthesizer

ANY = "Any"
STYLES = ("Air", "Reel", "Jig", "SlipJig", "Hornpipe", "Strathspey", "March", "Chorale")
MODES = ("Major", "Minor", "Dorian", "Mixolydian")
METERS = ("2/4", "3/4", "4/4", "6/8", "9/8")
TOKENIZER_FILE = "tokenizer.json"
KEY_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")

QUARTERS_PER_MINUTE = {
    ANY: 110, "Air": 84, "Reel": 190, "Jig": 168, "SlipJig": 160, "Hornpipe": 160,
    "Strathspey": 120, "March": 104, "Chorale": 76,
}  # fmt: skip
SLOWEST, FASTEST = 40, 300
PEAK = 0.9
# MIDI pitch. symusic 0.5.8 never returns from rendering some notes above 101: keep well below.
HIGHEST = 96
SILENCE = 0.5
_STRONG, _WEAK = 100, 84  # MIDI velocities

INSTRUMENTS = {
    "piano": 0, "harpsichord": 6, "glockenspiel": 9, "music box": 10, "vibraphone": 11,
    "marimba": 12, "xylophone": 13, "dulcimer": 15, "organ": 19, "accordion": 21,
    "harmonica": 22, "concertina": 23, "guitar": 24, "violin": 40, "harp": 46, "strings": 48,
    "choir": 52, "trumpet": 56, "oboe": 68, "clarinet": 71, "piccolo": 72, "flute": 73,
    "recorder": 74, "pan pipe": 75, "whistle": 78, "banjo": 105, "bagpipe": 109, "fiddle": 110,
}  # fmt: skip
"""General MIDI programs by plain name. They colour the sound; the model never sees them."""

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


@dataclass(frozen=True)
class TuneControls:
    """What a description asks for. None leaves the choice to the model.

    Attributes:
        style: One of ``STYLES``.
        mode: One of ``MODES``.
        meter: One of ``METERS``.
        tonic: Pitch class of the key note, 0 (C) to 11 (B). The default, D, suits the fiddle.
        tempo: Quarter notes a minute, ``SLOWEST`` to ``FASTEST``.
        instrument: A name in ``INSTRUMENTS``.
        understood: The words of the description that were used.
        unknown: The words that were not.
    """

    style: str | None = None
    mode: str | None = None
    meter: str | None = None
    tonic: int = 2
    tempo: int = QUARTERS_PER_MINUTE[ANY]
    instrument: str = "fiddle"
    understood: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def program(self) -> int:
        """General MIDI program, 0 to 127."""
        return INSTRUMENTS[self.instrument]

    @property
    def transposition(self) -> int:
        """Semitones from the model's C to the key, -5 to 6."""
        return (self.tonic + 5) % 12 - 5

    @property
    def summary(self) -> str:
        """The controls in words, such as "jig in 6/8, D major, 168 quarter notes a minute"."""
        style = "slip jig" if self.style == "SlipJig" else (self.style or "tune").lower()
        meter = f" in {self.meter}" if self.meter else ""
        key = f"{KEY_NAMES[self.tonic]} {(self.mode or 'major or minor').lower()}"
        pace = f"{self.tempo} quarter notes a minute"
        return f"{style}{meter}, {key}, {pace}, {self.instrument}"


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


def build_tokenizer() -> REMI:
    """Build the REMI tokenizer of the music model.

    Twelve positions a beat (an eighth in 6/8 and 9/8, else a quarter) hold triplets and sixteenths
    alike. The control tokens are special tokens, which miditok skips when it decodes.
    """
    from miditok import REMI, TokenizerConfig

    controls = [f"Style_{style}" for style in (ANY, *STYLES)]
    controls += [f"Mode_{mode}" for mode in (ANY, *MODES)]
    signatures: dict[int, list[int]] = {}
    for meter in METERS:
        beats, unit = map(int, meter.split("/"))
        signatures.setdefault(unit, []).append(beats)
    return REMI(
        TokenizerConfig(
            pitch_range=(31, 100),
            beat_res={(0, 4): 12, (4, 9): 2},
            special_tokens=["PAD", "BOS", "EOS", *controls],
            use_velocities=False,
            use_time_signatures=True,
            time_signature_range=signatures,
        )
    )


def load_tokenizer(folder: Path) -> REMI:
    """Read the tokenizer that was saved beside the weights in ``folder``.

    Raises:
        ValueError: It is none of a model that writes tunes.
    """
    from miditok import REMI

    tokenizer = REMI(params=folder / TOKENIZER_FILE)
    if f"Style_{ANY}" not in tokenizer.vocab:
        raise ValueError("the tokenizer has no tokens for styles")
    return tokenizer


def control_ids(tokenizer: REMI, style: str | None, mode: str | None) -> list[int]:
    """Return the two tokens that every window starts with."""
    return [tokenizer[f"Style_{style or ANY}"], tokenizer[f"Mode_{mode or ANY}"]]


def prompt_ids(tokenizer: REMI, controls: TuneControls) -> list[int]:
    """Return the tokens a new tune starts with: controls, BOS, the first Bar, the meter if said."""
    ids = control_ids(tokenizer, controls.style, controls.mode)
    ids += [tokenizer["BOS_None"], tokenizer["Bar_None"]]
    return [*ids, tokenizer[f"TimeSig_{controls.meter}"]] if controls.meter else ids


def score_to_ids(tokenizer: REMI, score: Score) -> list[int]:
    """Return the note tokens of ``score``'s first track, without controls, BOS and EOS."""
    return list(tokenizer.encode(score)[0].ids)


def ids_to_score(
    tokenizer: REMI, ids: Sequence[int], controls: TuneControls | None = None
) -> Score:
    """Turn tokens into a score of one track in the key, tempo and instrument of ``controls``.

    Any list of integers gives a score: ids outside the vocabulary, control tokens and notes without
    a length are left out, and notes that are too high sound in a lower octave. Without ``controls``
    the pitches stay as they are otherwise. The first beat of a bar is made a little louder than the
    rest, since the tokens say nothing of loudness.
    """
    from symusic import Score, Tempo

    known = [token for token in ids if 0 <= token < len(tokenizer)]
    decoded = tokenizer.decode([known])
    controls = controls or TuneControls(tonic=0)
    score = Score(decoded.ticks_per_quarter)
    score.tempos.append(Tempo(0, controls.tempo))
    score.time_signatures.extend(decoded.time_signatures)
    for track in decoded.tracks:
        track.program = controls.program
        track.name = controls.instrument
        track.shift_pitch(controls.transposition, inplace=True)
        for note in track.notes:
            note.pitch -= 12 * max(0, math.ceil((note.pitch - HIGHEST) / 12))
            note.velocity = _STRONG if _starts_bar(note.time, decoded) else _WEAK
        score.tracks.append(track)
    return score


def _starts_bar(time: int, score: Score) -> bool:
    """Whether ``time`` (in ticks) is the start of a bar."""
    meter = max(
        (change for change in score.time_signatures if change.time <= time),
        key=lambda change: change.time,
    )
    bar = score.ticks_per_quarter * 4 * meter.numerator // meter.denominator
    return (time - meter.time) % bar == 0


@dataclass(frozen=True)
class PlayedNote:
    """A note as heard: ``start`` and ``duration`` in seconds, MIDI ``pitch`` and ``velocity``."""

    start: float
    duration: float
    pitch: int
    velocity: int
    track: int


def played_notes(score: Score) -> list[PlayedNote]:
    """List the notes of ``score`` in order of their start, for a piano roll."""
    return sorted(
        (
            PlayedNote(note.start, note.duration, note.pitch, note.velocity, number)
            for number, track in enumerate(score.to("second").tracks)
            for note in track.notes
        ),
        key=lambda note: (note.start, note.pitch),
    )


def score_to_midi_bytes(score: Score) -> bytes:
    """Return ``score`` as a standard MIDI file."""
    return score.dumps_midi()


def find_soundfont() -> Path:
    """Return the path of the General MIDI SoundFont inside the installed pretty_midi package.

    The package is looked up, not imported: only its file is needed.

    Raises:
        GalleryError: The package or the file is missing.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec and spec.origin:
        path = Path(spec.origin).with_name("TimGM6mb.sf2")
        if path.is_file():
            return path
    raise GalleryError(
        "The SoundFont TimGM6mb.sf2 is missing, so notes cannot be turned into sound. "
        "Install it with: pip install pretty_midi==0.2.11.post0"
    )


@cache
def _synthesizer(sample_rate: int) -> Synthesizer:
    """Build the synthesizer for a sample rate once: reading the SoundFont takes longest."""
    from symusic import Synthesizer

    return Synthesizer(sf_path=find_soundfont(), sample_rate=sample_rate)


def render(score: Score, sample_rate: int = 44_100) -> np.ndarray:
    """Play ``score`` through the SoundFont.

    Returns:
        Stereo sound, float32, shape (samples, 2), its peak at ``PEAK``. A score without notes
        gives ``SILENCE`` seconds of zeros.

    Raises:
        GalleryError: The SoundFont is missing.
    """
    if not score.note_num():
        return np.zeros((round(SILENCE * sample_rate), 2), dtype=np.float32)
    sound = _synthesizer(sample_rate).render(score.to("second"), stereo=True)  # (2, samples)
    samples = np.ascontiguousarray(np.asarray(sound, dtype=np.float32).T)
    peak = float(np.abs(samples).max())
    return samples * np.float32(PEAK / peak) if peak > 0 else samples
