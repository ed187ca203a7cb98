"""Visitors' MIDI files, the good and the bad."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from demos.music.generate import Bar, MusicStep
from demos.music.piece import Piece, Wish, open_midi, play_so, wish_bars, wish_more, wish_variation
from shared.errors import InvalidRequest
from shared.tunes.controls import TuneControls
from shared.tunes.measures import read_measures
from shared.tunes.midi import MOST_BARS, read_midi

SCALE = (62, 64, 66, 67, 69, 71, 73, 74)  # D major
Note = tuple[float, float, int]  # start and duration in quarters, pitch


def write_midi(
    path: Path,
    notes: Sequence[Note],
    *,
    channel: int = 0,
    meter: tuple[int, int] = (4, 4),
    tempo: int = 100,
) -> Path:
    """Write notes as a MIDI file of one track."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    events = [(start, 1, pitch) for start, _, pitch in notes]
    events += [(start + duration, 0, pitch) for start, duration, pitch in notes]
    now = 0
    for time, is_on, pitch in sorted(events):
        ticks = round(480 * time)
        kind = "note_on" if is_on else "note_off"
        track.append(mido.Message(kind, channel=channel, note=pitch, time=ticks - now))
        now = ticks
    midi = mido.MidiFile(ticks_per_beat=480)
    midi.tracks.append(track)
    midi.save(path)
    return path


def test_a_melody_is_found_with_key_tempo_and_meter(tmp_path: Path) -> None:
    melody = [(place / 2, 0.5, pitch) for place, pitch in enumerate(SCALE * 2)]
    chords = [(2.0 * bar, 2.0, pitch) for bar in range(4) for pitch in (50, 54, 57)]
    found = read_midi(write_midi(tmp_path / "tune.mid", melody + chords, tempo=132))
    assert (found.tonic, found.mode, found.tempo) == (2, "Major", 132)
    assert [measure.meter for measure in found.measures] == ["4/4", "4/4"]
    pitches = [note.pitch for measure in found.measures for note in measure.notes]
    assert pitches == [pitch - 2 for pitch in SCALE] * 2, "moved to C"
    assert not found.notes


def test_a_minor_tune_is_heard_as_minor(tmp_path: Path) -> None:
    line = [69, 71, 72, 74, 76, 72, 69, 76, 74, 72, 71, 68, 69, 69]
    found = read_midi(
        write_midi(tmp_path / "minor.mid", [(n, 1.0, pitch) for n, pitch in enumerate(line)])
    )
    assert (found.tonic, found.mode) == (9, "Minor")


def test_what_was_played_by_hand_is_put_on_the_grid(tmp_path: Path) -> None:
    rng = random.Random(1)
    played = [(n / 2 + rng.uniform(0, 0.06), 0.43, pitch) for n, pitch in enumerate(SCALE)]
    (measure,) = read_midi(write_midi(tmp_path / "live.mid", played)).measures
    assert [note.start for note in measure.notes] == [n / 2 for n in range(8)]


def test_silence_before_the_tune_is_left_out(tmp_path: Path) -> None:
    late = [(32 + n, 1.0, pitch) for n, pitch in enumerate(SCALE)]
    assert len(read_midi(write_midi(tmp_path / "late.mid", late)).measures) == 2


@pytest.mark.parametrize(("meter", "counted"), [((2, 2), "4/4"), ((5, 4), "4/4"), ((3, 8), "6/8")])
def test_an_unknown_meter_is_counted_as_a_known_one_and_told(
    tmp_path: Path, meter: tuple[int, int], counted: str
) -> None:
    notes = [(float(n), 1.0, pitch) for n, pitch in enumerate(SCALE)]
    found = read_midi(write_midi(tmp_path / "odd.mid", notes, meter=meter))
    assert found.measures[0].meter == counted
    assert f"counted as {counted}" in found.notes[0]


def test_a_long_piece_is_cut_and_that_is_told(tmp_path: Path) -> None:
    notes = [(float(n), 1.0, SCALE[n % 8]) for n in range(4 * MOST_BARS + 40)]
    found = read_midi(write_midi(tmp_path / "long.mid", notes))
    assert len(found.measures) == MOST_BARS
    assert f"first {MOST_BARS}" in found.notes[0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"RIFF....WAVEfmt ", "no MIDI file"),
        (b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\xff\0", "damaged"),
        (b"MThd" + bytes(1_000_001), "too large"),
        (b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\4\0\xff\x2f\0", "no notes"),
    ],
)
def test_a_file_that_cannot_be_used_is_explained(tmp_path: Path, data: bytes, message: str) -> None:
    file = tmp_path / "bad.mid"
    file.write_bytes(data)
    with pytest.raises(InvalidRequest, match=message):
        read_midi(file)


def test_drums_alone_and_too_many_notes_are_explained(tmp_path: Path) -> None:
    drums = write_midi(tmp_path / "drums.mid", [(0.0, 1.0, 36), (1.0, 1.0, 38)], channel=9)
    with pytest.raises(InvalidRequest, match="only drums"):
        read_midi(drums)
    many = [(n / 16, 1 / 16, 60 + n % 12) for n in range(20_001)]
    with pytest.raises(InvalidRequest, match="20,001 notes"):
        read_midi(write_midi(tmp_path / "many.mid", many))


def test_damaged_files_never_end_otherwise_than_in_a_message(tmp_path: Path) -> None:
    good = write_midi(tmp_path / "good.mid", [(n / 2, 0.5, p) for n, p in enumerate(SCALE)])
    data, rng = good.read_bytes(), random.Random(0)
    read = 0
    for _ in range(300):
        damaged = bytearray(data[: rng.choice([len(data), rng.randrange(1, len(data))])])
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        file = tmp_path / "damaged.mid"
        file.write_bytes(bytes(damaged))
        with suppress(InvalidRequest):
            read += len(read_midi(file).measures) > 0
    assert read > 20, "many are damaged only a little"


def test_an_opened_file_is_played_by_those_who_were_chosen(tmp_path: Path) -> None:
    file = write_midi(tmp_path / "tune.mid", [(n / 2, 0.5, p) for n, p in enumerate(SCALE)])
    piece = open_midi(file, TuneControls(instrument="harp", accompaniment="cello", loop=True))
    assert [part.instrument for part in piece.step.arrangement.parts] == ["harp", "cello"]
    assert "found D major" in piece.note
    pitches = [note.pitch for note in piece.step.arrangement.notes if note.track == 0]
    assert {pitch % 12 for pitch in pitches} == {pitch % 12 for pitch in SCALE}


@pytest.fixture
def piece() -> Piece:
    measures = read_measures("\n".join(f"4/4 0:{60 + n}:4" for n in range(6)))
    bars = tuple(Bar(1, (), measure) for measure in measures)
    return Piece(MusicStep(TuneControls(style="Reel", tonic=7), bars), "Tunes")


def test_wishes_keep_what_they_say(piece: Piece) -> None:
    more, varied = wish_more(piece), wish_variation(piece, 2)
    again = wish_bars(piece, 3, 4)
    assert (len(more.before), len(more.after), more.bars) == (6, 0, 0)
    assert (len(varied.before), varied.bars) == (2, 4)
    assert (len(again.before), len(again.after), again.bars) == (2, 2, 2)
    request = again.request({"description": "a jig in D", "seed": 3})
    assert (request.style, request.key, request.bars) == ("Reel", "G", 2)
    assert request.beginning == "4/4 0:60:4\n4/4 0:61:4"
    assert Wish().request({"description": "a jig", "seed": 3}).style == "Jig"


def test_what_is_stopped_keeps_the_bars_that_were_to_stay(piece: Piece) -> None:
    again = wish_bars(piece, 3, 4)
    half = MusicStep(piece.step.controls, piece.step.bars[:3], done=0.5)
    recipe = {"settings": dict(again.request({"seed": 3}))}
    stopped = Piece(half, "Tunes", recipe, after=again.after).complete()
    assert stopped.step.bars == (*piece.step.bars[:3], *piece.step.bars[4:])
    assert stopped.step.is_complete
    assert stopped.recipe["settings"]["bars"] == 1
    assert piece.complete() is piece


def test_the_length_to_come_is_judged_by_what_is_new(piece: Piece) -> None:
    second = piece.step.arrangement.seconds / 6  # a bar
    going = MusicStep(piece.step.controls, piece.step.bars, done=0.25)
    assert wish_variation(piece, 4).expect(going) == pytest.approx(second * (4 + 2 / 0.25))
    assert Wish().expect(going) == pytest.approx(second * 6 / 0.25)


def test_nothing_lasts_for_ever(piece: Piece, tmp_path: Path) -> None:
    many = replace(piece, step=replace(piece.step, bars=piece.step.bars * 40))
    with pytest.raises(InvalidRequest, match="already"):
        wish_more(many)
    with pytest.raises(InvalidRequest, match="24 minutes"):
        play_so(many, TuneControls(tempo=40))
    slow = [(float(n), 1.0, SCALE[n % 8]) for n in range(400)]
    opened = open_midi(write_midi(tmp_path / "slow.mid", slow, tempo=40), TuneControls())
    assert opened.step.arrangement.seconds <= 300
    assert "first 50 bars" in opened.note


def test_playing_otherwise_is_another_playing_of_the_same_bars(piece: Piece) -> None:
    other = play_so(piece, TuneControls(instrument="harp"))
    assert other.step.bars == piece.step.bars
    assert other.key != piece.key
    assert other.recipe["played"]["instrument"] == "harp"


@pytest.mark.parametrize(
    ("make", "numbers", "message"),
    [
        (wish_variation, (0,), "first 1 to 5 can be kept, not 0"),
        (wish_variation, (6,), "not 6"),
        (wish_bars, (0, 2), "bars 1 to 6"),
        (wish_bars, (4, 3), "cannot be 4 with 3"),
        (wish_bars, (2, 7), "with 7"),
    ],
)
def test_bars_that_are_not_there_are_refused(
    piece: Piece, make: object, numbers: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        make(piece, *numbers)  # type: ignore[operator]
