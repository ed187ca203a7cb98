"""The rule that finds chords for a melody, and how they are played."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from shared.tunes.chords import Chord, accompany, choose_chords, find_mode, split_bar
from shared.tunes.controls import METERS, MODES, TuneControls
from shared.tunes.measures import BarNote, Measure, read_measures

TWINKLE = """
4/4 0:60:1 1:60:1 2:67:1 3:67:1
4/4 0:69:1 1:69:1 2:67:2
4/4 0:65:1 1:65:1 2:64:1 3:64:1
4/4 0:62:1 1:62:1 2:60:2
"""


def names(text: str, mode: str | None) -> list[str]:
    placed = choose_chords(read_measures(text), mode)
    return [one.chord.name() for bar in placed for one in bar]


def random_melody(rng: random.Random, meter: str, bars: int) -> list[Measure]:
    length = Measure(meter).quarters
    return [
        Measure(
            meter,
            tuple(
                BarNote(start / 2, 0.5, rng.choice([60, 62, 63, 64, 65, 67, 69, 70, 71, 72]))
                for start in range(int(2 * length))
                if rng.random() < 0.8
            ),
        )
        for _ in range(bars)
    ]


def test_a_tune_that_everybody_knows_gets_its_chords() -> None:
    assert names(TWINKLE, "Major") == ["C", "C", "F", "C", "F", "C", "G", "C"]


@pytest.mark.parametrize(("seventh", "chord"), [(71, "G"), (70, "Gm")])
def test_the_dominant_of_minor_follows_the_leading_tone(seventh: int, chord: str) -> None:
    melody = f"3/4 0:60:1 1:63:1 2:67:1\n3/4 0:67:1 1:{seventh}:1 2:74:1\n3/4 0:72:3"
    assert names(melody, "Minor") == ["Cm", chord, "Cm"]


@pytest.mark.parametrize(
    ("melody", "mode", "chord"),
    [("4/4 0:65:2 2:69:2", "Dorian", "F"), ("4/4 0:70:2 2:74:2", "Mixolydian", "Bb")],
)
def test_modes_have_chords_of_their_own(melody: str, mode: str, chord: str) -> None:
    assert chord in names(f"4/4 0:60:4\n{melody}\n4/4 0:60:4", mode)


def test_the_mode_is_found_where_it_is_not_said() -> None:
    scales = {"Major": (0, 2, 4, 5, 7, 9, 11), "Dorian": (0, 2, 3, 5, 7, 9, 10)}
    for mode, scale in scales.items():
        assert find_mode([float(pitch in scale) for pitch in range(12)]) == mode


@pytest.mark.parametrize("mode", [*MODES, None])
@pytest.mark.parametrize("meter", METERS)
def test_what_comes_later_never_changes_a_chord(meter: str, mode: str | None) -> None:
    bars = random_melody(random.Random(f"{meter}{mode}"), meter, 12)
    controls = TuneControls(style="Jig", mode=mode, accompaniment="guitar")
    whole = choose_chords(bars, mode, is_complete=False)
    played = accompany(bars, whole, controls, is_complete=False)
    for end in range(1, len(bars)):
        before = choose_chords(bars[:end], mode, is_complete=False)
        assert before == whole[:end]
        assert accompany(bars[:end], before, controls, is_complete=False) == played[:end]


@pytest.mark.parametrize(
    ("tonic", "mode", "chords"),
    [
        (8, "Major", ["Ab", "Db", "Eb", "Fm"]),
        (8, "Minor", ["G#m", "C#m", "D#", "E"]),
        (5, "Minor", ["Fm", "Bbm", "C", "Db"]),
        (11, "Major", ["B", "E", "F#", "G#m"]),
        (2, "Minor", ["Dm", "Gm", "A", "Bb"]),
    ],
)
def test_chords_are_spelt_as_their_key_asks(tonic: int, mode: str, chords: list[str]) -> None:
    controls = TuneControls(tonic=tonic, mode=mode)
    minor = "m" if mode == "Minor" else ""
    sixth = Chord(8) if minor else Chord(9, "m")
    named = [Chord(0, minor), Chord(5, minor), Chord(7), sixth]
    assert [chord.name(controls.fifths) for chord in named] == chords


def test_a_complete_tune_ends_on_its_tonic_in_one_long_chord() -> None:
    bars = read_measures(TWINKLE)
    chords = choose_chords(bars, "Major")
    assert chords[-1][-1].chord.root == 0
    *_, last = accompany(bars, chords, TuneControls(style="Reel"))
    assert all(note.duration == 2 for note in last)


def test_an_upbeat_has_no_chord() -> None:
    bars = read_measures("6/8 5/2:67:1/2\n6/8 0:72:3/2 3/2:76:3/2")
    chords = choose_chords(bars, "Major")
    assert [len(bar) for bar in chords] == [0, 2]


def test_voices_together_need_no_accompaniment() -> None:
    bars = read_measures("4/4 0:60:4 0:64:4 0:67:4\n4/4 0:60:4")
    played = accompany(bars, choose_chords(bars, "Major"), TuneControls())
    assert [len(bar) > 0 for bar in played] == [False, True]


@pytest.mark.parametrize("style", ["Jig", "Air", "March", "Reel", None])
@pytest.mark.parametrize("meter", METERS)
def test_every_style_is_played_within_its_bars_and_its_register(
    meter: str, style: str | None
) -> None:
    bars = random_melody(random.Random(meter), meter, 5)
    for tonic in range(12):
        controls = TuneControls(style=style, tonic=tonic)
        played = accompany(bars, choose_chords(bars, "Major"), controls)
        pitches = [note.pitch + controls.transposition for bar in played for note in bar]
        assert 38 <= min(pitches) < max(pitches) < 64
        assert all(_fits(bar.quarters, notes) for bar, notes in zip(bars, played, strict=True))
        assert len(split_bar(meter)) in (1, 2)


def _fits(quarters: float, notes: Sequence[BarNote]) -> bool:
    return all(0 <= note.start < quarters for note in notes)
