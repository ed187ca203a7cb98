"""Visitors' MIDI files, the good and the bad."""

from __future__ import annotations

import random
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import mido
import pytest

from demos.music.generate import Bar, MusicRequest, MusicStep
from demos.music.piece import (
    ComposeCommand,
    Piece,
    command_bars,
    command_more,
    command_variation,
    open_midi,
    play_so,
)
from demos.music.recording import write_midi as write_midi_of
from demos.music.score.midi import MOST_BARS, read_midi
from demos.music.show import show_bars
from demos.music.tabs.compose import HERE, load_example
from shared.errors import InvalidRequest
from shared.tunes.controls import TuneControls
from shared.tunes.measures import read_measures

SCALE = (62, 64, 66, 67, 69, 71, 73, 74)  # D major
Note = tuple[float, float, int]  # start and duration in quarters, pitch


def write_midi(
    path: Path,
    notes: Sequence[Note],
    *,
    channel: int = 0,
    meter: tuple[int, int] = (4, 4),
    tempo: int = 100,
    program: int = 0,
) -> Path:
    """Write notes as a MIDI file of one track."""
    track = mido.MidiTrack()
    track.append(mido.MetaMessage("time_signature", numerator=meter[0], denominator=meter[1]))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    track.append(mido.Message("program_change", channel=channel, program=program))
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
    found = read_midi(write_midi(tmp_path / "tune.mid", melody + chords, tempo=132).read_bytes())
    assert (found.tonic, found.mode, found.tempo) == (2, "Major", 132)
    assert [measure.meter for measure in found.measures] == ["4/4", "4/4"]
    pitches = [note.pitch for measure in found.measures for note in measure.notes]
    assert pitches == [pitch - 2 for pitch in SCALE] * 2, "moved to C"
    assert found.notes == (
        "The highest line became the melody: 16 notes of “track 1”.",
        "Left out: 12 notes of “track 1”.",
    )


def test_a_minor_tune_is_heard_as_minor(tmp_path: Path) -> None:
    line = [69, 71, 72, 74, 76, 72, 69, 76, 74, 72, 71, 68, 69, 69]
    notes = [(float(n), 1.0, pitch) for n, pitch in enumerate(line)]
    found = read_midi(write_midi(tmp_path / "minor.mid", notes).read_bytes())
    assert (found.tonic, found.mode) == (9, "Minor")


def test_what_was_played_by_hand_is_put_on_the_grid(tmp_path: Path) -> None:
    rng = random.Random(1)
    played = [(n / 2 + rng.uniform(0, 0.06), 0.43, pitch) for n, pitch in enumerate(SCALE)]
    (measure,) = read_midi(write_midi(tmp_path / "live.mid", played).read_bytes()).measures
    assert [note.start for note in measure.notes] == [n / 2 for n in range(8)]


def test_silence_before_the_tune_is_left_out(tmp_path: Path) -> None:
    late = [(32 + n, 1.0, pitch) for n, pitch in enumerate(SCALE)]
    assert len(read_midi(write_midi(tmp_path / "late.mid", late).read_bytes()).measures) == 2


@pytest.mark.parametrize(("meter", "counted"), [((2, 2), "4/4"), ((5, 4), "4/4"), ((3, 8), "6/8")])
def test_an_unknown_meter_is_counted_as_a_known_one_and_told(
    tmp_path: Path, meter: tuple[int, int], counted: str
) -> None:
    notes = [(float(n), 1.0, pitch) for n, pitch in enumerate(SCALE)]
    found = read_midi(write_midi(tmp_path / "odd.mid", notes, meter=meter).read_bytes())
    assert found.measures[0].meter == counted
    assert f"counted as {counted}" in found.notes[0]


def test_a_long_piece_is_cut_and_that_is_told(tmp_path: Path) -> None:
    notes = [(float(n), 1.0, SCALE[n % 8]) for n in range(4 * MOST_BARS + 40)]
    found = read_midi(write_midi(tmp_path / "long.mid", notes).read_bytes())
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
def test_a_file_that_cannot_be_used_is_explained(data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_midi(data)


def test_drums_alone_and_too_many_notes_are_explained(tmp_path: Path) -> None:
    drums = write_midi(tmp_path / "drums.mid", [(0.0, 1.0, 36), (1.0, 1.0, 38)], channel=9)
    with pytest.raises(InvalidRequest, match="only drums"):
        read_midi(drums.read_bytes())
    many = [(n / 16, 1 / 16, 60 + n % 12) for n in range(20_001)]
    with pytest.raises(InvalidRequest, match="20,001 notes"):
        read_midi(write_midi(tmp_path / "many.mid", many).read_bytes())


def test_damaged_files_never_end_otherwise_than_in_a_message(tmp_path: Path) -> None:
    good = write_midi(tmp_path / "good.mid", [(n / 2, 0.5, p) for n, p in enumerate(SCALE)])
    data, rng = good.read_bytes(), random.Random(0)
    read = 0
    for _ in range(300):
        damaged = bytearray(data[: rng.choice([len(data), rng.randrange(1, len(data))])])
        for _ in range(rng.randrange(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        with suppress(InvalidRequest):
            read += len(read_midi(bytes(damaged)).measures) > 0
    assert read > 20, "many are damaged only a little"


def join_midi(path: Path, files: dict[str, Path]) -> Path:
    """Write one file of the tracks of others, by their names."""
    midi = mido.MidiFile(ticks_per_beat=480)
    for name, file in files.items():
        (track,) = mido.MidiFile(file).tracks
        track.insert(0, mido.MetaMessage("track_name", name=name))
        midi.tracks.append(track)
    midi.save(path)
    return path


def test_it_is_told_whose_notes_were_taken_and_whose_were_not(tmp_path: Path) -> None:
    high = [(n / 2, 0.5, pitch) for n, pitch in enumerate(SCALE)]
    low = [(float(n), 1.0, 40) for n in range(4)]
    files = {
        "Flute <solo>": write_midi(tmp_path / "1.mid", high, meter=(3, 4)),
        "Bass": write_midi(tmp_path / "2.mid", low, channel=1, tempo=90),
        "Kit": write_midi(tmp_path / "3.mid", low, channel=9),
    }
    found = read_midi(join_midi(tmp_path / "band.mid", files).read_bytes())
    assert found.notes == (
        "The highest line became the melody: 8 notes of “Flute <solo>”.",
        "Left out: 4 notes of “Bass” and the drums.",
        "Its meter changes; all is counted as 3/4.",
        "Its tempo changes; all is played at 100 quarter notes a minute.",
    )


def test_a_crowd_of_tracks_is_told_in_one_sentence(tmp_path: Path) -> None:
    files = {"Tune": write_midi(tmp_path / "0.mid", [(0.0, 4.0, 90)])}
    for number in range(1, 9):
        file = write_midi(tmp_path / f"{number}.mid", [(1.0, 1.0, 40)] * number, channel=number)
        files["n" * 50 + str(number) if number == 8 else f"Part {number}"] = file
    found = read_midi(join_midi(tmp_path / "crowd.mid", files).read_bytes())
    assert found.notes[0] == "The highest line became the melody: 1 note of “Tune”."
    assert found.notes[1].endswith("of others.")
    assert len(found.notes[1]) < 150


def test_a_tempo_that_nobody_can_play_is_told(tmp_path: Path) -> None:
    notes = [(float(n), 1.0, pitch) for n, pitch in enumerate(SCALE)]
    found = read_midi(write_midi(tmp_path / "mad.mid", notes, tempo=900).read_bytes())
    assert found.tempo == 300
    assert found.notes == ("Its tempo, 900 quarter notes a minute, became 300.",)


OTHERS = TuneControls(instrument="bagpipe", accompaniment=None, tempo=60)


@pytest.mark.parametrize(
    ("description", "bars"),
    [
        ("a jig in E minor for harp and cello", "6/8 2:64:1\n6/8 0:60:3\n6/8 0:67:1 3/2:60:3/2"),
        ("a slow air for flute alone, 40 bpm, Grüße", "3/4 0:72:1/3 1/3:74:1/3 2/3:76:7/3"),
        ("a lively game level loop", "4/4 3:64:1\n4/4 0:60:4\n4/4 0:67:4"),
        ("a song with piano", "4/4 0:48:4:piano 0:60:4:piano 2:72:2:voice\n4/4"),
        ("a Bach chorale", "4/4 0:48:4:choir 0:60:4:choir 0:72:2:choir\n3/4 0:62:3:choir"),
    ],
)
def test_a_file_that_was_written_here_comes_back_as_the_same_piece(
    tmp_path: Path, description: str, bars: str
) -> None:
    request = MusicRequest.parse(description=description, seed=7, temperature=0.5)
    step = MusicStep(request.controls, tuple(Bar(1, (), m) for m in read_measures(bars)))
    recipe = {"model": "music/tunes", "seed": 7, "settings": request.model_dump(exclude={"seed"})}
    file = tmp_path / "mine.mid"
    file.write_bytes(write_midi_of(step, recipe))
    piece = open_midi(file, OTHERS)
    assert piece.step == step
    assert piece.step.arrangement == step.arrangement
    assert (piece.recipe, piece.seed) == (recipe, 7)
    other = play_so(piece, TuneControls(instrument="oboe", tonic=9, tempo=99))
    file.write_bytes(write_midi_of(other.step, other.recipe))
    again = open_midi(file, OTHERS)
    assert (again.step, again.recipe) == (other.step, other.recipe)


def test_the_notes_of_the_first_visits_example_are_that_example() -> None:
    example = load_example()
    opened = open_midi(HERE / "example.mid", OTHERS)
    assert opened.recipe == example.recipe
    assert opened.step.arrangement == example.step.arrangement


def test_a_file_of_somebody_else_comes_back_too_once_it_was_saved_here(tmp_path: Path) -> None:
    notes = [(n / 2, 0.5, pitch) for n, pitch in enumerate(SCALE)]
    first = open_midi(write_midi(tmp_path / "theirs.mid", notes), OTHERS)
    file = tmp_path / "mine.mid"
    file.write_bytes(write_midi_of(first.step, first.recipe))
    again = open_midi(file, TuneControls(instrument="harp"))
    assert (again.step, again.seed) == (first.step, -1)


def test_notes_that_are_not_those_of_the_recipe_are_read_as_they_stand(
    tmp_path: Path, piece: Piece
) -> None:
    recipe = {"seed": 3, "settings": MusicRequest.fields_of(piece.step.controls)}
    file = tmp_path / "mine.mid"
    file.write_bytes(write_midi_of(piece.step, recipe))
    assert open_midi(file, OTHERS).seed == 3
    midi = mido.MidiFile(file)
    for message in midi.tracks[-1]:
        if message.type in ("note_on", "note_off") and message.note == 57:
            message.note += 1
    midi.save(file)
    opened = open_midi(file, OTHERS)
    assert (opened.seed, opened.step.controls.instrument) == (-1, "fiddle")
    assert "found" in opened.note


HOSTILE = [
    "{", "[" * 100_000, "null", '{"measures": 7}', '{"measures": ""}', '{"measures": "4/4 x"}',
    '{"measures": "4/4 0:60:4", "settings": {"tempo": 1e9}}',
    '{"measures": "4/4 0:60:4", "settings": {"cls": 1, "__class__": {}}, "played": {"key": []}}',
    '{"measures": "4/4 0:60:4", "seed": "many"}',
    '{"measures": "4/4 0:60:4", "settings": [], "played": "all"}',
    '{"measures": "' + r"4/4\n" * 90_000 + '"}',
 r'{"measures": "4/4", "settings": {"description": "\ud800"}}',
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_recipe_that_is_none_does_no_harm(tmp_path: Path, text: str) -> None:
    file = write_midi(tmp_path / "theirs.mid", [(n / 2, 0.5, p) for n, p in enumerate(SCALE)])
    midi = mido.MidiFile(file)
    midi.tracks[0].insert(0, mido.MetaMessage("marker", text=text))
    midi.save(file)
    opened = open_midi(file, OTHERS)
    assert len(opened.step.bars) == 1
    assert opened.seed == -1
    assert "found D major" in opened.note


def test_an_opened_file_is_played_by_those_who_were_chosen(tmp_path: Path) -> None:
    file = write_midi(tmp_path / "tune.mid", [(n / 2, 0.5, p) for n, p in enumerate(SCALE)])
    piece = open_midi(file, TuneControls(instrument="harp", accompaniment="cello", loop=True))
    assert [part.instrument for part in piece.step.arrangement.parts] == ["harp", "cello"]
    assert "found D major" in piece.note
    assert "no probabilities" in show_bars(piece.step)
    assert "no probabilities" not in show_bars(load_example().step)
    pitches = [note.pitch for note in piece.step.arrangement.notes if note.track == 0]
    assert {pitch % 12 for pitch in pitches} == {pitch % 12 for pitch in SCALE}


@pytest.fixture
def piece() -> Piece:
    measures = read_measures("\n".join(f"4/4 0:{60 + n}:4" for n in range(6)))
    bars = tuple(Bar(1, (), measure) for measure in measures)
    return Piece(MusicStep(TuneControls(style="Reel", tonic=7), bars), "Tunes")


def test_wishes_keep_what_they_say(piece: Piece) -> None:
    more, varied = command_more(piece), command_variation(piece, 2)
    again = command_bars(piece, 3, 4)
    assert (len(more.before), len(more.after), more.bars) == (6, 0, 0)
    assert (len(varied.before), varied.bars) == (2, 4)
    assert (len(again.before), len(again.after), again.bars) == (2, 2, 2)
    request = again.request({"description": "a jig in D", "seed": 3})
    assert (request.style, request.key, request.bars) == ("Reel", "G", 2)
    assert request.beginning == "4/4 0:60:4\n4/4 0:61:4"
    assert ComposeCommand().request({"description": "a jig", "seed": 3}).style == "Jig"


def test_what_is_stopped_keeps_the_bars_that_were_to_stay(piece: Piece) -> None:
    again = command_bars(piece, 3, 4)
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
    assert command_variation(piece, 4).expect(going) == pytest.approx(second * (4 + 2 / 0.25))
    assert ComposeCommand().expect(going) == pytest.approx(second * 6 / 0.25)


@pytest.mark.parametrize(
    ("program", "instrument"),
    [(65, "saxophone"), (66, "saxophone"), (24, "guitar"), (0, "oboe"), (127, "oboe")],
)
def test_a_file_is_played_by_the_instrument_that_it_names(
    program: int, instrument: str, tmp_path: Path
) -> None:
    path = write_midi(tmp_path / "a.mid", [(0, 1, 72), (1, 1, 74), (2, 2, 72)], program=program)
    assert open_midi(path, TuneControls(instrument="oboe")).step.controls.instrument == instrument


def test_nothing_lasts_for_ever(piece: Piece, tmp_path: Path) -> None:
    many = replace(piece, step=replace(piece.step, bars=piece.step.bars * 40))
    with pytest.raises(InvalidRequest, match="already"):
        command_more(many)
    with pytest.raises(InvalidRequest, match="24 minutes"):
        play_so(many, TuneControls(tempo=40))
    slow = [(float(n), 1.0, SCALE[n % 8]) for n in range(400)]
    opened = open_midi(write_midi(tmp_path / "slow.mid", slow, tempo=40), TuneControls())
    assert opened.step.arrangement.seconds <= 300
    assert "first 50 bars" in opened.remark


def test_playing_otherwise_is_another_playing_of_the_same_bars(piece: Piece) -> None:
    other = play_so(piece, TuneControls(instrument="harp", style="Air", meter="3/4"))
    assert other.remark == "Another style and meter must be composed: press Compose."
    assert other.step.bars == piece.step.bars
    assert other.key != piece.key
    assert other.recipe["played"]["instrument"] == "harp"


@pytest.mark.parametrize(
    ("make", "numbers", "message"),
    [
        (command_variation, (0,), "first 1 to 5 can be kept, not 0"),
        (command_variation, (6,), "not 6"),
        (command_bars, (0, 2), "bars 1 to 6"),
        (command_bars, (4, 3), "4 to 3 is none"),
        (command_bars, (2, 7), "bars 1 to 6"),
    ],
)
def test_bars_that_are_not_there_are_refused(
    piece: Piece, make: object, numbers: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        make(piece, *numbers)  # type: ignore[operator]
