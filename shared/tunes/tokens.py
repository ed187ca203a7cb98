"""The tokens that the music model reads and writes.

The music model reads and writes REMI tokens (Huang and Yang 2020, "Pop Music Transformer",
https://arxiv.org/abs/2002.00212) as miditok makes them, without velocities. A sequence is

    Style_x Mode_x Tempo_x Scoring_x BOS | Bar TimeSig_6/8 Position_0 Pitch_67 Duration_1.0.12 ...
    | EOS

Every bar starts with ``Bar`` and its time signature, so a bar is finished when the next ``Bar`` or
``EOS`` appears. ``Style_Any``, ``Mode_Any`` and so on mean "not specified". A window that begins in
the middle of a tune has the control tokens but no ``BOS``.

In a song, the token ``Voice`` before a note's pitch marks a sung note; the other notes are for the
piano. That is one extra token per sung note. Program tokens would need one for each change between
the two.

All music is in C: tunes were transposed to C for training, and what the model writes is transposed
to the requested key. So every key works equally well.
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
_SLOW, _FAST = 76, 112  # beats per minute: slow is below the first, fast from the second on
_STRONG, _WEAK = 100, 84  # MIDI velocities
_SOFTER = 18  # velocity difference of the piano in a song


def build_tokenizer() -> REMI:
    """Build the REMI tokenizer of the music model.

    Twelve positions per beat (an eighth in 6/8 and 9/8, else a quarter) can represent both triplets
    and sixteenths. The control tokens and ``Voice`` are special tokens, which miditok skips when it
    decodes.
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
    """Read the tokenizer that was saved with the weights in ``folder``.

    Raises:
        ValueError: It is not the tokenizer of a music model.
    """
    from miditok import REMI

    tokenizer = REMI(params=folder / TOKENIZER_FILE)
    if f"Style_{ANY}" not in tokenizer.vocab:
        raise ValueError("the tokenizer has no tokens for styles")
    return tokenizer


def pace_of(tempo: float, meter: str | None) -> str:
    """Name a tempo in quarter notes per minute; in compound meters a beat is a dotted quarter."""
    beats = tempo / 1.5 if meter in ("6/8", "9/8") else tempo
    return PACES[(beats >= _SLOW) + (beats >= _FAST)]


def scoring_of(style: str | None) -> str:
    """Return the scoring of ``style``; without a style it is a melody."""
    return {"Chorale": "Choir", "Lied": "VoicePiano"}.get(style or ANY, "Melody")


def control_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the tokens that every window starts with.

    Only the songs in the training data have a tempo, so only songs get a tempo token.
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
    """Return a token for each of ``CONTROLS`` in the vocabulary, ``Any`` if not in ``said``."""
    names = [f"{kind}_{said.get(kind, ANY)}" for kind in CONTROLS]
    return [tokenizer[name] for name in names if name in tokenizer.vocab]


def prompt_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the first tokens of a new tune: controls, BOS, Bar, and the meter if it is given."""
    ids = control_ids(tokenizer, controls)
    ids += [tokenizer["BOS_None"], tokenizer["Bar_None"]]
    return [*ids, tokenizer[f"TimeSig_{controls.meter}"]] if controls.meter else ids


def score_to_ids(tokenizer: MusicTokenizer, score: Score) -> list[int]:
    """Return the note tokens of ``score``, without controls, BOS and EOS.

    A score with a "voice" and a "piano" track is a song; of any other, only the first track counts.
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
    a duration are skipped, and notes that are too high are moved down by octaves. Without
    ``controls`` the score stays in C. Tokens have no velocities: the first beat of a bar gets a
    higher one than the rest.

    The score has one track, "melody" or "choir". If there are sung notes, it has a "voice" with the
    instrument of ``controls``, and a softer "piano".
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
    """Merge the voice and piano tokens: at each position sung notes come first, each marked."""
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
    """Return for each bar its bar line and meter, and its notes (pitch, duration) by position."""
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
    """Return the sung and the played notes, each with all bar lines, meters and positions.

    Control tokens are left out: miditok would read ``Tempo_Slow`` as one of its own tokens.
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
    """Return the type of a token: ``Pitch`` for ``Pitch_67``."""
    return str(tokenizer[token]).split("_")[0]


def meter_of(tokenizer: MusicTokenizer, bar: Sequence[int]) -> str:
    """Return the meter of a bar of tokens, such as ``6/8``; it follows the bar line."""
    return str(tokenizer[bar[1]]).removeprefix("TimeSig_")


def value_of(name: str) -> int:
    """Return the number in the name of a token such as ``Position_12``."""
    return int(name.split("_")[1])


def length_of(duration: str) -> int:
    """Return the duration of a token such as ``Duration_1.6.12`` in positions."""
    beats, parts, resolution = map(int, duration.removeprefix("Duration_").split("."))
    return POSITIONS_PER_BEAT * (beats * resolution + parts) // resolution


def _starts_bar(time: int, score: Score) -> bool:
    """Whether a bar starts at ``time`` (in ticks)."""
    meter = max(
        (change for change in score.time_signatures if change.time <= time),
        key=lambda change: change.time,
    )
    bar = score.ticks_per_quarter * 4 * meter.numerator // meter.denominator
    return (time - meter.time) % bar == 0
