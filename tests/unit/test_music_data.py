"""What tunes are learnt from: songs read from MusicXML, relatives kept on one side."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from training.music_books import abc_style
from training.music_data import find_relatives, load_tunes, split_tunes
from training.music_lieder import read_lied, read_lieder
from training.music_pieces import TICKS, Tune, Unsuitable, join_ties, tell_mode

NAME = "scores/Rubin,_Ruth/{cycle}/{song}/lc1.mxl"


def note(step: str, octave: int, duration: int, *, chord: bool = False, tie: str = "") -> str:
    begin = "<chord/>" if chord else ""
    tied = f'<tie type="{tie}"/>' if tie else ""
    pitch = f"<pitch><step>{step}</step><octave>{octave}</octave></pitch>"
    return f"<note>{begin}{pitch}<duration>{duration}</duration>{tied}</note>"


def measure(notes: str, attributes: str = "", *, ending: str = "") -> str:
    start = f'<barline><ending number="{ending}" type="start"/></barline>' if ending else ""
    stop = f'<barline><ending number="{ending}" type="stop"/></barline>' if ending else ""
    return f"<measure>{start}{attributes}{notes}{stop}</measure>"


def song(
    bars: int = 6, *, meter: str = "3", singer: str = "Singstimme", repeat: bool = False
) -> bytes:
    """A song in G major: a pickup, then one bar over and over, the bass on G."""
    attributes = (
        "<attributes><divisions>2</divisions><key><fifths>1</fifths></key>"
        f"<time><beats>{meter}</beats><beat-type>4</beat-type></time></attributes>"
        '<sound tempo="92.4"/>'
    )
    voice = [measure(note("D", 5, 2), attributes)]
    piano = [measure("<forward><duration>2</duration></forward>", attributes)]
    for number in range(bars):
        ending = "1" if repeat and number == bars - 1 else ""
        voice.append(measure(note("B", 4, 1) + note("A", 4, 1) + note("G", 4, 4), ending=ending))
        left = note("G", 2, 6)
        chords = note("D", 4, 2) + note("G", 4, 2, chord=True) + note("D", 4, 4)
        backup = "<backup><duration>6</duration></backup>"
        piano.append(measure(chords + backup + left, ending=ending))
    names = "".join(
        f"<score-part><part-name>{name}</part-name></score-part>" for name in (singer, "Piano")
    )
    parts = "".join(f"<part>{''.join(measures)}</part>" for measures in (voice, piano))
    xml = f"<score-partwise><part-list>{names}</part-list>{parts}</score-partwise>"
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        archive.writestr("lc1.xml", xml)
    return data.getvalue()


def test_a_song_is_read_note_for_note_and_moved_to_c() -> None:
    lied = read_lied(NAME.format(cycle="Songs,_Op.1", song="2_Evening"), song())
    assert (lied.title, lied.style, lied.mode, lied.meter) == ("2 Evening", "Lied", "Major", "3/4")
    assert (lied.tempo, lied.group) == (92, "Rubin,_Ruth/Songs,_Op.1")
    # The pickup is a bar's last quarter. G goes to C by the shorter way, up a fourth.
    assert lied.voice[:4].tolist() == [[48, 24, 79], [72, 12, 76], [84, 12, 74], [96, 48, 72]]
    assert lied.notes[:4].tolist() == [[72, 24, 67], [72, 24, 72], [72, 72, 48], [96, 48, 67]]


def test_a_repeat_is_played_once_with_its_last_ending() -> None:
    once = read_lied(NAME.format(cycle="_", song="A"), song(7, repeat=True))
    plain = read_lied(NAME.format(cycle="_", song="A"), song(6))
    assert np.array_equal(once.voice, plain.voice)
    assert once.group == "Rubin,_Ruth/A"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (song(meter="5"), "meter"),
        (song(singer="Oboe"), "voice and piano"),
        (song(2), "too short"),
        (song(meter="2"), "add up"),
    ],
)
def test_songs_that_cannot_be_used_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(Unsuitable, match=reason):
        read_lied(NAME.format(cycle="_", song="A"), data)


def test_a_folder_and_a_zip_file_of_songs_are_the_same(tmp_path: Path) -> None:
    archive = tmp_path / "songs.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr(NAME.format(cycle="_", song="A"), song())
        file.writestr(NAME.format(cycle="_", song="B"), song(meter="5"))
        file.writestr(NAME.format(cycle="_", song="A,_Op.1"), song())
    with zipfile.ZipFile(archive) as file:
        file.extractall(tmp_path / "songs")
    for source in (archive, tmp_path / "songs"):
        left_out: Counter[str] = Counter()
        songs = [song.title for song in read_lieder(source, left_out)]
        assert songs == ["A, Op.1", "A"], "in one order"
        assert left_out == {"lied: meter": 1}
    with pytest.raises(FileNotFoundError, match=r"no \*.mxl"):
        list(read_lieder(tmp_path / "nowhere", left_out))


def test_what_was_read_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lied = read_lied(NAME.format(cycle="_", song="A"), song())
    air = tune("An Air", np.arange(20))

    def read(*known: Tune) -> object:
        def read_once(*arguments: object, **options: object) -> object:
            left_out = next(one for one in arguments if isinstance(one, Counter))
            left_out["a reason"] += 1
            return iter(known)

        return read_once

    monkeypatch.setattr("training.music_data.read_books", read(air))
    monkeypatch.setattr("training.music_data.read_lieder", read(lied))
    first, _ = load_tunes(tmp_path, cache=tmp_path)
    monkeypatch.setattr("training.music_data.read_books", None)
    again, left_out = load_tunes(tmp_path, cache=tmp_path)
    assert left_out == {"a reason": 2}
    assert [one.title for one in again] == ["An Air", "A"]
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.notes, other.notes)
        assert np.array_equal(one.voice, other.voice)
    assert (again[1].tempo, again[1].group) == (92, "Rubin,_Ruth/A")


def tune(title: str, steps: np.ndarray, **values: object) -> Tune:
    """A tune in quarters; ``steps`` are pitches above C."""
    count = len(steps)
    notes = np.column_stack([TICKS * np.arange(count), np.full(count, TICKS), 60 + steps])
    return Tune(title, "Reel", "Major", "4/4", notes, **values)  # type: ignore[arg-type]


def test_versions_of_one_tune_stay_on_one_side() -> None:
    rng = np.random.default_rng(0)
    tunes = []
    for number in range(40):
        steps = rng.integers(0, 24, 32)
        tunes += [tune(f"The Tune {number}", steps), tune(f"Tune {number} -- Reel", steps)]
    other_name = tune("Zephyr", tunes[0].notes[:, 2] - 60)
    varied = tunes[0].notes[:, 2] - 60
    varied[[0, 15, 16]] += 1
    song_cycle = [tune(f"Song {n}", rng.integers(0, 24, 32), group="Cycle") for n in range(3)]
    train, held_out = split_tunes([*tunes, other_name, tune("Zither", varied), *song_cycle])
    sides = [{one.title for one in side} for side in (train, held_out)]
    assert len(held_out) >= 4
    assert not {"Zephyr", "Zither"} & sides[0]
    assert {"The Tune 0", "Tune 0 -- Reel"} <= sides[1]
    assert {"Song 0", "Song 1", "Song 2"} <= sides[1]


def test_tunes_that_only_share_a_few_beats_are_no_relatives() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 12, 64), rng.integers(0, 12, 64)
    second[:10] = first[:10]
    same = np.concatenate([rng.integers(0, 12, 24), first[24:]])
    candidates = [tune("b", second), tune("c", same)]
    assert find_relatives(candidates, [tune("a", first)]) == {1}


def test_ties_make_one_note_of_two() -> None:
    rows = [(0, 24, 60, False), (24, 12, 60, True), (24, 12, 64, True), (48, 12, 60, True)]
    assert join_ties(rows).tolist() == [[0, 36, 60], [24, 12, 64], [48, 12, 60]]


def test_the_last_bass_note_tells_minor_from_its_relative_major() -> None:
    notes = np.array([[0, 24, 60], [24, 24, 64], [48, 24, 45], [48, 24, 60]])
    assert tell_mode(notes, 0) == (9, "Minor")
    notes[2, 2] = 48
    assert tell_mode(notes, 0) == (0, "Major")
    open_end = np.array([[0, 48, 60], [48, 48, 64], [96, 48, 67], [144, 24, 62]])
    assert tell_mode(open_end, 0) == (0, "Major")


def test_styles_come_from_field_chapter_title_and_meter_in_that_order() -> None:
    assert abc_style("ryansMammoth", 1, "slip jig", "A Reel", "9/8") == "SlipJig"
    assert abc_style("oneills1850", 650, "", "Planxty Irwin", "3/4") == "Air"
    assert abc_style("airdsAirs", 3, "", "Lord Kelly's Reel", "4/4") == "Reel"
    assert abc_style("airdsAirs", 4, "", "Maria's Frolick", "6/8") == "Jig"
    assert abc_style("airdsAirs", 5, "", "The Lads of the Village", "2/4") == "Any"
    assert abc_style("oneills1850", 1000, "", "Some Jig", "4/4") == "Any"
