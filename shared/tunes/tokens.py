"""The tokens that the music model reads and writes.

The music model reads and writes REMI tokens (Huang and Yang 2020, "Pop Music Transformer",
https://arxiv.org/abs/2002.00212) as miditok makes them, without velocities. A sequence is

    Style_x Mode_x Tempo_x Scoring_x BOS | Bar TimeSig_6/8 Position_0 Pitch_67 Duration_1.0.12 ...
    | EOS

Every bar starts with ``Bar`` and its time signature, so a bar is over as soon as the next ``Bar``
or ``EOS`` appears. ``Style_Any`` and its like mean "not said". A window that begins in the
middle of a tune has the control tokens but no ``BOS``.

In a song, the token ``Voice`` before a note's pitch says that the singer has it; notes without it
are the piano's. That takes one token for each sung note, where programs would take one for each
change between the two.

The model knows one tonic only: tunes were moved to C before training, and what it writes is moved
to the key that was asked for. Every key is then equally well known, and always met.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from shared.tunes.controls import ANY, METERS, MODES, STYLES, TuneControls
from shared.tunes.sound import HIGHEST

if TYPE_CHECKING:
    from miditok import REMI, MusicTokenizer
    from symusic import Score, Track

TOKENIZER_FILE = "tokenizer.json"
POSITIONS_PER_BEAT = 12
VOICE_TOKEN = "Voice_None"
MELODY, CHOIR, VOICE, PIANO = ("melody", "choir", "voice", "piano")
PACES = ("Slow", "Moderate", "Fast")
SCORINGS = ("Melody", "Choir", "VoicePiano")
CONTROLS = {"Style": STYLES, "Mode": MODES, "Tempo": PACES, "Scoring": SCORINGS}
_SLOW, _FAST = 76, 112  # beats a minute: below is slow, from there on is fast
_STRONG, _WEAK = 100, 84  # MIDI velocities
_SOFTER = 18  # what accompanies a singer


def build_tokenizer() -> REMI:
    """Build the REMI tokenizer of the music model.

    Twelve positions a beat (an eighth in 6/8 and 9/8, else a quarter) hold triplets and sixteenths
    alike. The control tokens and ``Voice`` are special tokens, which miditok skips when it decodes.
    """
    from miditok import REMI, TokenizerConfig

    controls = [f"{kind}_{value}" for kind, known in CONTROLS.items() for value in (ANY, *known)]
    signatures: dict[int, list[int]] = {}
    for meter in METERS:
        beats, unit = map(int, meter.split("/"))
        signatures.setdefault(unit, []).append(beats)
    return REMI(
        TokenizerConfig(
            pitch_range=(24, HIGHEST + 1),
            beat_res={(0, 4): 12, (4, 9): 2},
            special_tokens=["PAD", "BOS", "EOS", *controls, VOICE_TOKEN.removesuffix("_None")],
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


def pace_of(tempo: float, meter: str | None) -> str:
    """Name a tempo in quarter notes a minute; compound meters are felt in dotted quarters."""
    beats = tempo / 1.5 if meter in ("6/8", "9/8") else tempo
    return PACES[(beats >= _SLOW) + (beats >= _FAST)]


def scoring_of(style: str | None) -> str:
    """Name who plays a piece of ``style``; what may be any style is a melody."""
    return {"Chorale": "Choir", "Lied": "VoicePiano"}.get(style or ANY, "Melody")


def control_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the tokens that every window starts with.

    Only songs say how fast they are, so only songs carry a tempo token.
    """
    said = {
        "Style": controls.style or ANY,
        "Mode": controls.mode or ANY,
        "Scoring": scoring_of(controls.style),
    }
    if controls.style == "Lied":
        said["Tempo"] = pace_of(controls.tempo, controls.meter)
    return name_controls(tokenizer, said)


def name_controls(tokenizer: MusicTokenizer, said: Mapping[str, str]) -> list[int]:
    """Return a token for each of ``CONTROLS``, said or not, but for those a tokenizer lacks."""
    names = [f"{kind}_{said.get(kind, ANY)}" for kind in CONTROLS]
    return [tokenizer[name] for name in names if name in tokenizer.vocab]


def prompt_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the tokens a new tune starts with: controls, BOS, the first Bar, the meter if said."""
    ids = control_ids(tokenizer, controls)
    ids += [tokenizer["BOS_None"], tokenizer["Bar_None"]]
    return [*ids, tokenizer[f"TimeSig_{controls.meter}"]] if controls.meter else ids


def score_to_ids(tokenizer: MusicTokenizer, score: Score) -> list[int]:
    """Return the note tokens of ``score``, without controls, BOS and EOS.

    Its tracks are a "voice" and a "piano"; or else only the first counts.
    """
    from symusic import Score

    def encode(track: Track) -> list[int]:
        alone = Score(score.ticks_per_quarter)
        alone.time_signatures.extend(score.time_signatures)
        alone.tracks.append(track)
        return list(tokenizer.encode(alone)[0].ids)

    tracks = {track.name: track for track in score.tracks}
    if VOICE in tracks and PIANO in tracks:
        return _join_voices(tokenizer, encode(tracks[VOICE]), encode(tracks[PIANO]))
    return encode(score.tracks[0])


def ids_to_score(
    tokenizer: MusicTokenizer, ids: Sequence[int], controls: TuneControls | None = None
) -> Score:
    """Turn tokens into a score in the key, tempo and instrument of ``controls``.

    Any list of integers gives a score: ids outside the vocabulary, control tokens and notes without
    a length are left out, and notes that are too high sound in a lower octave. Without ``controls``
    the pitches stay as they are otherwise. The first beat of a bar is made a little louder than the
    rest, since the tokens say nothing of loudness.

    Its tracks are a "melody" or a "choir"; or, where something is sung, a "voice" with the
    instrument of ``controls`` and, softer, a "piano".
    """
    from symusic import Score, Tempo

    known = [token for token in ids if 0 <= token < len(tokenizer)]
    controls = controls or TuneControls(tonic=0)
    sung, played = _part_voices(tokenizer, known)
    decoded = tokenizer.decode([played])
    parts = [(CHOIR if controls.style == "Chorale" else MELODY, controls.program, decoded)]
    if controls.style == "Lied" or tokenizer.vocab.get(VOICE_TOKEN) in known:
        singer = tokenizer.decode([sung])
        parts = [(VOICE, controls.program, singer), (PIANO, 0, decoded)]
    score = Score(decoded.ticks_per_quarter)
    score.tempos.append(Tempo(0, controls.tempo))
    score.time_signatures.extend(decoded.time_signatures)
    for name, program, part in parts:
        for track in part.tracks:
            track.program, track.name = program, name
            track.shift_pitch(controls.transposition, inplace=True)
            for note in track.notes:
                note.pitch -= 12 * max(0, math.ceil((note.pitch - HIGHEST) / 12))
                note.velocity = _STRONG if _starts_bar(note.time, decoded) else _WEAK
                note.velocity -= _SOFTER if name == PIANO else 0
            score.tracks.append(track)
    return score


def _join_voices(
    tokenizer: MusicTokenizer, sung: Sequence[int], played: Sequence[int]
) -> list[int]:
    """Weave a singer's tokens into the piano's: hers first at each position, each note marked."""
    voice = tokenizer[VOICE_TOKEN]
    ids: list[int] = []
    bars = zip_longest(_read_bars(tokenizer, sung), _read_bars(tokenizer, played))
    for singer, piano in bars:
        head, hers = singer or piano
        _, his = piano or (head, {})
        hers = hers if singer else {}
        ids += head
        for position in sorted({*hers, *his}):
            ids.append(position)
            for note in hers.get(position, []):
                ids += [voice, *note]
            for note in his.get(position, []):
                ids += note
    return ids


def _read_bars(
    tokenizer: MusicTokenizer, ids: Sequence[int]
) -> list[tuple[list[int], dict[int, list[list[int]]]]]:
    """Return each bar's line and meter, and its notes (pitch and duration) by position token."""
    bars: list[tuple[list[int], dict[int, list[list[int]]]]] = []
    for token in ids:
        match _kind(tokenizer, token):
            case "Bar":
                bars.append(([token], {}))
            case "TimeSig":
                bars[-1][0].append(token)
            case "Position":
                position = token
            case "Pitch":
                bars[-1][1].setdefault(position, []).append([token])
            case "Duration":
                bars[-1][1][position][-1].append(token)
    return bars


def _part_voices(tokenizer: MusicTokenizer, ids: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return what is sung and what is played, each with all bar lines, meters and positions.

    Controls are left out: miditok would take ``Tempo_Slow`` for one of miditok's tokens.
    """
    sung, played = list[int](), list[int]()
    marked = False
    for token in ids:
        kind = _kind(tokenizer, token)
        if kind in ("Pitch", "Duration"):
            (sung if marked else played).append(token)
        elif kind != "Voice" and kind not in CONTROLS:
            sung.append(token)
            played.append(token)
        marked = kind == "Voice" or (marked and kind == "Pitch")
    return sung, played


def _kind(tokenizer: MusicTokenizer, token: int) -> str:
    """Return the kind of a token: ``Pitch`` of ``Pitch_67``."""
    return str(tokenizer[token]).split("_")[0]


def meter_of(tokenizer: MusicTokenizer, bar: Sequence[int]) -> str:
    """Return the meter of a bar of tokens, such as ``6/8``, which follows the bar line."""
    return str(tokenizer[bar[1]]).removeprefix("TimeSig_")


def value_of(name: str) -> int:
    """Return the number in the name of a token such as ``Position_12``."""
    return int(name.split("_")[1])


def length_of(duration: str) -> int:
    """Return the positions that a token such as ``Duration_1.6.12`` lasts."""
    beats, parts, resolution = map(int, duration.removeprefix("Duration_").split("."))
    return POSITIONS_PER_BEAT * (beats * resolution + parts) // resolution


def _starts_bar(time: int, score: Score) -> bool:
    """Whether ``time`` (in ticks) is the start of a bar."""
    meter = max(
        (change for change in score.time_signatures if change.time <= time),
        key=lambda change: change.time,
    )
    bar = score.ticks_per_quarter * 4 * meter.numerator // meter.denominator
    return (time - meter.time) % bar == 0
