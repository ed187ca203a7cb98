"""Descriptions, tokens, scores and sound."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miditok import REMI
from symusic import Note, Score, TimeSignature, Track

from shared.errors import InvalidRequest
from shared.tunes.controls import FASTEST, TuneControls
from shared.tunes.measures import (
    ids_to_measure,
    measures_to_ids,
    read_measures,
    write_measures,
)
from shared.tunes.sound import HIGHEST, render, score_to_midi_bytes
from shared.tunes.tokens import (
    TOKENIZER_FILE,
    build_tokenizer,
    ids_to_score,
    load_tokenizer,
    prompt_ids,
    score_to_ids,
)
from shared.tunes.words import explain_phrase, parse_description


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
        ("a cheerful jig in D major, alone", "jig, D major, 168 quarter notes a minute, fiddle"),
        ("slow sad waltz", "air in 3/4, D minor, 80 quarter notes a minute, flute and harp"),
        ("Bach chorale in a minor key", "chorale, D minor, 76 quarter notes a minute, organ"),
        ("Reels in A minor at 200 bpm, solo", "reel, A minor, 200 quarter notes a minute, fiddle"),
        (
            "slip-jig in B flat",
            "slip jig, Bb major or minor, 160 quarter notes a minute, fiddle and guitar",
        ),
        (
            "a slow song with piano in G minor",
            "song with piano, G minor, 59 quarter notes a minute, oboe and piano",
        ),
        ("", "tune, D major or minor, 110 quarter notes a minute, fiddle and guitar"),
    ],
)
def test_a_description_becomes_controls(description: str, summary: str) -> None:
    assert parse_description(description).summary == summary


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("a slow sad tune in a minor key for flute and piano", ("flute", "piano", None, None)),
        ("a march for trumpet alone, 12 bars", ("trumpet", None, 12, None)),
        ("half a minute of harp without accompaniment", ("harp", None, None, 30)),
        ("45 seconds of chiptune", ("chip", "guitar", None, 45)),
        ("a Bach chorale, two minutes", ("organ", None, None, 120)),
    ],
)
def test_players_and_length_are_understood(description: str, expected: tuple[Any, ...]) -> None:
    said = parse_description(description)
    assert (said.instrument, said.accompaniment, said.bars, said.seconds) == expected
    assert not said.unknown


def test_what_was_chosen_goes_before_the_words_and_sets_what_follows_from_it() -> None:
    controls = parse_description("a slow jig in D", {"style": "Reel", "tonic": 4})
    assert (controls.style, controls.tonic, controls.tempo) == ("Reel", 4, 133)


@pytest.mark.parametrize(
    ("phrase", "meaning"),
    [("sad", "minor, slower"), ("waltz", "air, 3/4, faster"), ("jig", ""), ("bach", "chorale")],
)
def test_a_phrase_says_what_it_was_taken_for(phrase: str, meaning: str) -> None:
    assert explain_phrase(phrase) == meaning


@pytest.mark.parametrize("refusal", ["without guitar", "no guitar", "not sad"])
def test_what_is_not_wanted_is_no_wish(refusal: str) -> None:
    said, plain = parse_description(f"a jig {refusal}"), parse_description("a jig")
    assert said.unknown == (refusal,)
    assert (said.instrument, said.accompaniment, said.mode, said.tempo) == (
        plain.instrument,
        plain.accompaniment,
        plain.mode,
        plain.tempo,
    )


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
    first = score.to("second").tracks[0].notes[0]
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


def test_a_measure_survives_its_text_and_its_tokens(tokenizer: REMI) -> None:
    text = "6/8 5/2:67:1/2\n6/8 0:72:1 1:71:1/2 3/2:69:1/3 11/6:67:7/6\n6/8"
    measures = read_measures(text)
    assert write_measures(measures) == text
    bars = measures_to_ids(tokenizer, measures)
    assert tuple(ids_to_measure(tokenizer, bar) for bar in bars) == measures


@pytest.mark.parametrize("text", ["7/4", "4/4 0:60", "4/4 0:200:1", "4/4 1/0:60:1", "4/4 0:60:99"])
def test_text_that_is_no_measure_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        read_measures(text)
