"""The tokens that the music model reads and writes.

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

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.tunes.controls import ANY, METERS, MODES, STYLES, TuneControls
from shared.tunes.sound import HIGHEST

if TYPE_CHECKING:
    from miditok import REMI, MusicTokenizer
    from symusic import Score

TOKENIZER_FILE = "tokenizer.json"
POSITIONS_PER_BEAT = 12
_STRONG, _WEAK = 100, 84  # MIDI velocities


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


def control_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the tokens that every window starts with, but for those that a tokenizer lacks."""
    names = [f"Style_{controls.style or ANY}", f"Mode_{controls.mode or ANY}"]
    return [tokenizer[name] for name in names if name in tokenizer.vocab]


def prompt_ids(tokenizer: MusicTokenizer, controls: TuneControls) -> list[int]:
    """Return the tokens a new tune starts with: controls, BOS, the first Bar, the meter if said."""
    ids = control_ids(tokenizer, controls)
    ids += [tokenizer["BOS_None"], tokenizer["Bar_None"]]
    return [*ids, tokenizer[f"TimeSig_{controls.meter}"]] if controls.meter else ids


def score_to_ids(tokenizer: MusicTokenizer, score: Score) -> list[int]:
    """Return the note tokens of ``score``'s first track, without controls, BOS and EOS."""
    return list(tokenizer.encode(score)[0].ids)


def ids_to_score(
    tokenizer: MusicTokenizer, ids: Sequence[int], controls: TuneControls | None = None
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


def meter_of(tokenizer: MusicTokenizer, bar: Sequence[int]) -> str:
    """Return the meter of a bar of tokens, such as ``6/8``, which follows the bar line."""
    return str(tokenizer[bar[1]]).removeprefix("TimeSig_")


def _starts_bar(time: int, score: Score) -> bool:
    """Whether ``time`` (in ticks) is the start of a bar."""
    meter = max(
        (change for change in score.time_signatures if change.time <= time),
        key=lambda change: change.time,
    )
    bar = score.ticks_per_quarter * 4 * meter.numerator // meter.denominator
    return (time - meter.time) % bar == 0
