"""Notes to tokens and back, for one player or a singer with a pianist; what may follow what."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from miditok import REMI
from symusic import Note, Score, TimeSignature, Track

from shared.tunes.controls import TuneControls
from shared.tunes.grammar import BarGrammar
from shared.tunes.sound import score_to_midi_bytes
from shared.tunes.tokens import (
    build_tokenizer,
    control_ids,
    ids_to_score,
    pace_of,
    prompt_ids,
    score_to_ids,
)

LIED = TuneControls(style="Lied", mode="Minor", meter="3/4", tonic=0, tempo=60, instrument="flute")


@pytest.fixture(scope="module")
def tokenizer() -> REMI:
    return build_tokenizer()


def song() -> Score:
    """Four bars: the piano alone, both, the singer alone over a held chord, both."""
    score = Score(24)
    score.time_signatures.append(TimeSignature(0, 3, 4))
    voice, piano = Track(name="voice"), Track(name="piano")
    for bar in (0, 1, 3):
        for beat in range(3):
            piano.notes.append(Note(72 * bar + 24 * beat, 24, 48 + 4 * beat, 80))
    for pitch in (48, 55, 64):
        piano.notes.append(Note(144, 72, pitch, 80))
    for place, pitch in ((72, 72), (108, 74), (168, 64), (216, 60)):
        voice.notes.append(Note(place, 36, pitch, 80))
    score.tracks.extend([voice, piano])
    return score


def notes_of(score: Score) -> dict[str, list[tuple[int, int, int]]]:
    return {
        track.name: sorted((note.time, note.duration, note.pitch) for note in track.notes)
        for track in score.resample(24).tracks
    }


def test_a_song_survives_its_tokens(tokenizer: REMI) -> None:
    ids = score_to_ids(tokenizer, song())
    assert notes_of(ids_to_score(tokenizer, ids, LIED)) == notes_of(song())
    names = [tokenizer[token] for token in ids]
    assert names.count("Voice_None") == 4
    assert names[names.index("Voice_None") - 1] == "Position_0"
    assert names[names.index("Voice_None") + 1] == "Pitch_72"


def test_a_song_survives_tokens_and_a_midi_file(tokenizer: REMI) -> None:
    ids = score_to_ids(tokenizer, song())
    file = score_to_midi_bytes(ids_to_score(tokenizer, ids, LIED))
    assert score_to_ids(tokenizer, Score.from_midi(file)) == ids


def test_a_melody_survives_tokens_and_a_midi_file(tokenizer: REMI) -> None:
    score, track = Score(24), Track(name="melody")
    score.time_signatures.append(TimeSignature(0, 9, 8))
    starts = [60, 72, 84, 108, 116, 124, 132, 300]
    for place, start in enumerate(starts):
        track.notes.append(Note(start, 8 if 108 <= start < 132 else 12, 60 + place, 90))
    score.tracks.append(track)
    ids = score_to_ids(tokenizer, score)
    controls = TuneControls(style="SlipJig", tonic=0)
    file = score_to_midi_bytes(ids_to_score(tokenizer, ids, controls))
    assert score_to_ids(tokenizer, Score.from_midi(file)) == ids
    assert notes_of(Score.from_midi(file)) == notes_of(score)


def test_the_piano_is_softer_and_the_singer_takes_the_instrument(tokenizer: REMI) -> None:
    voice, piano = ids_to_score(tokenizer, score_to_ids(tokenizer, song()), LIED).tracks
    assert (voice.name, voice.program) == ("voice", 73)
    assert (piano.name, piano.program) == ("piano", 0)
    assert max(note.velocity for note in piano.notes) < min(note.velocity for note in voice.notes)


def test_a_key_moves_both(tokenizer: REMI) -> None:
    ids = score_to_ids(tokenizer, song())
    lower = notes_of(ids_to_score(tokenizer, ids, replace(LIED, tonic=9)))
    for name, notes in notes_of(song()).items():
        assert lower[name] == [(start, length, pitch - 3) for start, length, pitch in notes]


def test_prompts_say_who_plays_and_songs_how_fast(tokenizer: REMI) -> None:
    def say(controls: TuneControls) -> list[str]:
        return [tokenizer[token] for token in control_ids(tokenizer, controls)]

    assert say(LIED) == ["Style_Lied", "Mode_Minor", "Tempo_Slow", "Scoring_VoicePiano"]
    assert say(TuneControls()) == ["Style_Any", "Mode_Any", "Tempo_Any", "Scoring_Melody"]
    assert say(TuneControls(style="Chorale"))[2:] == ["Tempo_Any", "Scoring_Choir"]


@pytest.mark.parametrize(
    ("tempo", "meter", "pace"),
    [(60, "4/4", "Slow"), (90, "3/4", "Moderate"), (112, "2/4", "Fast"), (112, "6/8", "Slow")],
)
def test_compound_meters_are_felt_in_dotted_quarters(tempo: int, meter: str, pace: str) -> None:
    assert pace_of(tempo, meter) == pace


def follow(tokenizer: REMI, controls: TuneControls, *names: str) -> set[str]:
    """Return what may follow the prompt and ``names``."""
    grammar = BarGrammar(tokenizer, longest_bar=200, highest_pitch=96)
    ids = [*prompt_ids(tokenizer, controls), *(tokenizer[name] for name in names)]
    logits = grammar(torch.tensor([ids]), torch.zeros(1, len(tokenizer)))
    return {tokenizer[int(id_)] for id_ in torch.isfinite(logits[0]).nonzero()[:, 0]}


def test_in_a_melody_no_note_begins_before_the_last_has_ended(tokenizer: REMI) -> None:
    jig = TuneControls(style="Jig", meter="6/8")
    after = follow(tokenizer, jig, "Position_12", "Pitch_60", "Duration_2.0.12")
    positions = {int(name.split("_")[1]) for name in after if name.startswith("Position")}
    assert positions == set(range(36, 72))
    line = ("Position_60", "Pitch_60", "Duration_3.0.12", "Bar_None", "TimeSig_6/8")
    after = follow(tokenizer, jig, *line)
    assert "Position_23" not in after
    assert {"Position_24", "Position_71", "Bar_None"} <= after


def test_only_songs_are_sung_and_sung_notes_come_first(tokenizer: REMI) -> None:
    assert "Voice_None" not in follow(tokenizer, TuneControls(meter="3/4"), "Position_0")
    assert "Voice_None" in follow(tokenizer, LIED, "Position_0")
    sung = ("Position_0", "Voice_None", "Pitch_72", "Duration_1.0.12")
    assert follow(tokenizer, LIED, *sung[:2]) == {f"Pitch_{pitch}" for pitch in range(24, 97)}
    assert {"Voice_None", "Pitch_48", "Position_1"} <= follow(tokenizer, LIED, *sung)
    played = follow(tokenizer, LIED, *sung, "Pitch_48", "Duration_1.0.12")
    assert "Voice_None" not in played
    assert {"Pitch_52", "Position_1"} <= played
