"""Descriptions, tokens, scores and sound."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from miditok import REMI
from symusic import Note, Score, TimeSignature, Track

from demos.music.words import explain_phrase, parse_description
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
            "slip jig, Bb, 160 quarter notes a minute, fiddle and guitar",
        ),
        (
            "a slow song with piano in G minor",
            "song with piano, G minor, 59 quarter notes a minute, oboe and piano",
        ),
        ("", "tune, D, 110 quarter notes a minute, fiddle and guitar"),
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


@pytest.mark.parametrize(
    ("description", "tempo"),
    [
        ("a waltz at 120", 120),
        ("a waltz at 90 in G for flute", 90),
        ("a jig, tempo 90", 90),
        ("tempo: 100 bpm", 100),
        ("a reel, bpm = 100", 100),
        ("♩ = 120", 120),
        ("quarter note = 96", 96),
        ("72 beats per minute", 72),
        ("a tune at 8 bars", 110),
        ("a tune at 30 seconds", 110),
        ("a tune at 1:30", 110),
        ("a tune at 30s", 110),
    ],
)
def test_a_tempo_is_understood_and_a_length_is_none(description: str, tempo: int) -> None:
    said = parse_description(description)
    assert (said.tempo, said.unknown) == (tempo, ())


@pytest.mark.parametrize(
    ("words", "tempo"),
    [
        ("largo", 55),
        ("adagio", 72),
        ("andante", 88),
        ("moderato", 110),
        ("allegro", 132),
        ("vivace", 154),
        ("presto", 176),
        ("an allegro jig", 202),
        ("a jig, slowly", 118),
        ("a slower jig", 118),
        ("a very slow jig", 98),
        ("a very Irish, slow jig", 118),
        ("quickly", 132),
        ("a faster jig", 210),
        ("something upbeat", 126),
        ("played gently", 94),
    ],
)
def test_musical_terms_and_adverbs_set_the_pace(words: str, tempo: int) -> None:
    said = parse_description(words)
    assert (said.tempo, said.unknown) == (tempo, ())


@pytest.mark.parametrize(
    ("words", "seconds", "bars"),
    [
        ("30s", 30, None),
        ("90 secs of harp", 90, None),
        ("1:30", 90, None),
        ("thirty seconds", 30, None),
        ("three minutes", 180, None),
        ("1.5 minutes", 90, None),
        ("a minute and a half", 90, None),
        ("one and a half minutes", 90, None),
        ("1 min 20 s", 80, None),
        ("one minute and ten seconds long", 70, None),
        ("half a min", 30, None),
        ("ten bars", None, 10),
        ("sixteen-bar reel", None, 16),
        ("twenty-four measures", None, 24),
        ("16bars at 1:10", 70, 16),
    ],
)
def test_a_length_is_understood(words: str, seconds: float | None, bars: int | None) -> None:
    said = parse_description(words)
    assert (said.seconds, said.bars, said.unknown) == (seconds, bars, ())


@pytest.mark.parametrize("words", ["an 80s song", "a song of the 80s", "1930s song"])
def test_a_decade_is_no_length(words: str) -> None:
    said = parse_description(words)
    assert said.seconds is None
    assert len(said.unknown) == 1


@pytest.mark.parametrize(
    ("words", "key"),
    [
        ("a jig in d", "D"),
        ("in e, fast", "E"),
        ("in bb for harp", "Bb"),
        ("in B-flat", "Bb"),
        ("in b Flat major", "Bb major"),
        ("in A-flat minor", "G# minor"),
        ("in A-flat major", "Ab major"),
        ("C# major", "Db major"),
        ("Db minor", "C# minor"),
        ("E flat minor", "Eb minor"),
        ("F# mixolydian", "F# mixolydian"),
        ("a reel in H", "B"),
        ("in H minor", "B minor"),
        ("in the key of g", "G"),
        ("in Am", "A minor"),
        ("a reel in a minor for harp", "A minor"),
        ("a major", "A major"),
        ("a jig in a minor key", "D minor"),
        ("a minor jig", "D minor"),
        ("a jig in a", "D"),
        ("a song", "D"),
    ],
)
def test_a_key_is_understood_and_an_article_is_none(words: str, key: str) -> None:
    said = parse_description(words)
    assert (said.key_name, said.unknown) == (key, ())


def test_what_was_chosen_goes_before_the_words_and_sets_what_follows_from_it() -> None:
    controls = parse_description("a slow jig in D", {"style": "Reel", "tonic": 4})
    assert (controls.style, controls.tonic, controls.tempo) == ("Reel", 4, 133)


@pytest.mark.parametrize(
    ("phrase", "meaning"),
    [
        ("sad", "minor, slower"),
        ("waltz", "air, 3/4, faster"),
        ("jig", ""),
        ("bach", "chorale"),
        ("in d", "key"),
        ("in B-flat", "key"),
        ("in A-flat minor", "key of G# minor"),
        ("in H", "key of B"),
        ("30 seconds", ""),
        ("30s", "length"),
        ("tempo 90", ""),
        ("at 90", "tempo"),
        ("at 9000", "300 is the fastest"),
        ("9 bpm", "40 is the slowest"),
        ("16 bars", ""),
    ],
)
def test_a_phrase_says_what_it_was_taken_for(phrase: str, meaning: str) -> None:
    assert explain_phrase(phrase) == meaning


@pytest.mark.parametrize("refusal", ["without harp", "except fiddle", "not in minor", "not sad"])
def test_what_is_not_wanted_is_no_wish(refusal: str) -> None:
    said, plain = parse_description(f"a jig {refusal}"), parse_description("a jig")
    assert said.unknown == (refusal,)
    assert (said.instrument, said.accompaniment, said.mode, said.tempo) == (
        plain.instrument,
        plain.accompaniment,
        plain.mode,
        plain.tempo,
    )


@pytest.mark.parametrize("said", ["without guitar", "no guitar", "without chords"])
def test_nothing_accompanies_where_what_would_is_not_wanted(said: str) -> None:
    assert parse_description("a jig").accompaniment == "guitar"
    controls = parse_description(f"a jig {said}")
    assert controls.accompaniment is None
    assert controls.unknown == ()
    assert said in controls.understood


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
