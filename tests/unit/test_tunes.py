"""Descriptions, tokens, scores and sound."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from miditok import REMI
from symusic import Note, Score, TimeSignature, Track

from shared.errors import GalleryError
from shared.tunes import sound as sound_of_tunes
from shared.tunes.controls import FASTEST, TuneControls
from shared.tunes.sound import (
    HIGHEST,
    PEAK,
    find_soundfont,
    played_notes,
    render,
    score_to_midi_bytes,
)
from shared.tunes.tokens import (
    TOKENIZER_FILE,
    build_tokenizer,
    ids_to_score,
    load_tokenizer,
    prompt_ids,
    score_to_ids,
)
from shared.tunes.words import parse_description


@pytest.fixture(scope="module")
def tokenizer() -> REMI:
    return build_tokenizer()


def scale_in_six_eight() -> Score:
    """A rising C major scale in eighths, with a pickup of one eighth."""
    score, track = Score(24), Track()
    score.time_signatures.append(TimeSignature(0, 6, 8))
    for index, pitch in enumerate([60, 62, 64, 65, 67, 69, 71, 72]):
        track.notes.append(Note(60 + 12 * index, 12, pitch, 90))
    score.tracks.append(track)
    return score


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        ("a cheerful jig in D major", "jig, D major, 168 quarter notes a minute, fiddle"),
        ("slow sad waltz", "air in 3/4, D minor, 80 quarter notes a minute, flute"),
        (
            "Bach chorale in a minor key",
            "chorale, D minor, 76 quarter notes a minute, organ",
        ),
        ("Reels in A minor at 200 bpm", "reel, A minor, 200 quarter notes a minute, fiddle"),
        ("slip-jig in B flat", "slip jig, Bb major or minor, 160 quarter notes a minute, fiddle"),
        ("", "tune, D major or minor, 110 quarter notes a minute, fiddle"),
    ],
)
def test_a_description_becomes_controls(description: str, summary: str) -> None:
    assert parse_description(description).summary == summary


def test_unknown_words_are_listed_and_known_ones_too() -> None:
    controls = parse_description("a fast techno reel in 7/8 on flute, with lasers")
    assert controls.understood == ("fast", "reel", "flute")
    assert controls.unknown == ("techno", "7/8", "lasers")


def test_a_hurried_description_stays_within_the_tempo_range() -> None:
    assert parse_description("fast quick lively energetic reel").tempo == FASTEST


def test_the_prompt_carries_style_mode_and_meter(tokenizer: REMI) -> None:
    ids = prompt_ids(tokenizer, parse_description("happy air in 3/4"))
    words = [tokenizer[token] for token in ids]
    assert words[:2] == ["Style_Air", "Mode_Major"]
    assert words[-3:] == ["BOS_None", "Bar_None", "TimeSig_3/4"]


def test_a_score_survives_its_tokens(tokenizer: REMI) -> None:
    original = scale_in_six_eight()
    back = ids_to_score(tokenizer, score_to_ids(tokenizer, original))
    expected = [(note.time, note.duration, note.pitch) for note in original.tracks[0].notes]
    notes = back.resample(24).tracks[0].notes
    assert [(note.time, note.duration, note.pitch) for note in notes] == expected


def test_controls_set_key_tempo_and_instrument(tokenizer: REMI) -> None:
    ids = score_to_ids(tokenizer, scale_in_six_eight())
    score = ids_to_score(tokenizer, ids, TuneControls(tonic=9, tempo=60, instrument="flute"))
    first = played_notes(score)[0]
    assert (first.pitch, first.duration) == (57, 0.5)
    assert score.tracks[0].program == 73


def test_a_saved_tokenizer_loads_with_its_control_tokens(tokenizer: REMI, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / TOKENIZER_FILE)
    assert load_tokenizer(tmp_path).vocab == tokenizer.vocab


def test_any_list_of_ids_gives_a_score_that_renders(tokenizer: REMI) -> None:
    rng = random.Random(0)
    for _ in range(200):
        ids = [rng.randrange(-5, len(tokenizer) + 5) for _ in range(rng.randrange(40))]
        score = ids_to_score(tokenizer, ids)
        assert score_to_midi_bytes(score).startswith(b"MThd")
        pitches = [note.pitch for track in score.tracks for note in track.notes]
        assert max(pitches, default=0) <= HIGHEST
    assert np.isfinite(render(score)).all()


@pytest.mark.parametrize("sample_rate", [22_050, 44_100])
def test_sound_is_finite_loud_enough_and_unclipped(tokenizer: REMI, sample_rate: int) -> None:
    score = ids_to_score(tokenizer, score_to_ids(tokenizer, scale_in_six_eight()))
    sound = render(score, sample_rate)
    seconds = score.to("second").end()
    assert sound.dtype == np.float32
    assert sound.shape[1] == 2
    assert seconds <= len(sound) / sample_rate <= seconds + 3
    assert np.abs(sound).max() == pytest.approx(PEAK, abs=1e-3)


def test_a_score_without_notes_is_silence() -> None:
    assert not render(Score(24)).any()


def test_a_missing_soundfont_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound_of_tunes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GalleryError, match="pip install pretty_midi"):
        find_soundfont()
