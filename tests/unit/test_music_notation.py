"""Arrangements as they are written: bars, ties, voices, spelling, MusicXML and pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import mido
import pytest
import verovio

from demos.music.piece import open_midi
from demos.music.score.engraving import engrave
from demos.music.score.musicxml import Key, write_musicxml
from shared.errors import GalleryError, InvalidRequest
from shared.tunes.arrangement import Arrangement, arrange
from shared.tunes.controls import KEY_NAMES, MODES, TuneControls
from shared.tunes.measures import read_measures
from tests.unit.test_music_midi import SCALE, write_midi

UPBEAT_JIG = """
6/8 5/2:67:1/2
6/8 0:72:1/2 1/2:74:1/2 1:76:1/2 3/2:77:3/2
6/8 0:79:3/2 3/2:72:1
"""
TRIPLETS = """
4/4 0:72:1/3 1/3:74:1/3 2/3:76:1/3 1:77:3/2 5/2:79:3/2
4/4 0:72:2/3 2/3:74:2/3 4/3:76:2/3 2:74:1/2 5/2:72:1/6 8/3:74:1/6 17/6:76:1/6 3:72:3
4/4 2:72:2
"""
CHORALE = """
4/4 3:60:1:choir 3:64:1/2:choir 3:67:1:choir 3:72:1:choir 7/2:65:1/2:choir
4/4 0:48:4:choir 0:55:2:choir 0:64:1:choir 0:72:3:choir 1:65:1:choir 2:57:2:choir 2:64:2:choir
3/4 0:48:3:choir 0:55:3:choir 0:64:3:choir 0:72:3:choir
"""
SONG = """
3/4 0:36:3:piano 0:60:1:piano 0:64:1:piano 0:72:3/2:voice 1:62:1:piano 2:65:2:piano 2:79:2:voice
2/4 0:43:1/2:piano 0:55:1/2:piano 0:67:2:piano 1/2:71:1:piano 1:79:1/2:voice
9/8 0:72:9/2:voice 0:48:9/2:piano 3/2:64:5/4:piano 3/2:67:3:piano
"""
PIECES = {
    "jig": (UPBEAT_JIG, TuneControls(style="Jig", mode="Major", accompaniment="guitar")),
    "air": (TRIPLETS, TuneControls(style="Air", mode="Dorian", accompaniment="harp", tempo=97)),
    "hornpipe": (TRIPLETS, TuneControls(style="Hornpipe", accompaniment="piano", tempo=250)),
    "chorale": (CHORALE, TuneControls(style="Chorale", mode="Minor", instrument="organ")),
    "song": (SONG, TuneControls(style="Lied", mode="Minor", tonic=8, accompaniment="piano")),
    "slip jig": ("9/8 0:72:3/2 3/2:74:3/2 3:76:1\n9/8 0:72:9/2", TuneControls(mode="Mixolydian")),
    "loop": (UPBEAT_JIG, TuneControls(loop=True)),
}
ALONE = TuneControls(mode="Major", tonic=0)


def play(text: str, controls: TuneControls = ALONE) -> Arrangement:
    return arrange(read_measures(text), controls)


def write(text: str, controls: TuneControls = ALONE) -> Element:
    return fromstring(write_musicxml(play(text, controls), controls))


def lengths(measure: Element) -> list[int]:
    """How far each voice of a measure gets."""
    reached = [0]
    for element in measure:
        if element.tag == "backup":
            reached.append(0)
        elif element.tag == "forward" or (element.tag == "note" and element.find("chord") is None):
            reached[-1] += int(element.findtext("duration", ""))
    return reached


def signs(root: Element) -> list[str]:
    """Each note or rest as letter, accidental, octave, sign, dots, and ties."""
    told = []
    for note in root.iter("note"):
        sharps = {"1": "#", "-1": "b"}.get(note.findtext("pitch/alter", ""), "")
        name = note.findtext("pitch/step", "r") + sharps + note.findtext("pitch/octave", "")
        ties = "".join({"start": "(", "stop": ")"}[tie.get("type", "")] for tie in note.iter("tie"))
        told.append(f"{name} {note.findtext('type', 'bar')}{'.' * len(note.findall('dot'))}{ties}")
    return told


def heard(musicxml: str) -> Counter[tuple[float, int]]:
    """What Verovio plays of it: quarters (in eighths of a triplet's) and pitch of each note."""
    toolkit = verovio.toolkit()
    assert toolkit.loadData(musicxml)
    midi = mido.MidiFile(file=io.BytesIO(base64.b64decode(toolkit.renderToMIDI())))
    notes: Counter[tuple[float, int]] = Counter()
    for track in midi.tracks:
        time = 0
        for message in track:
            time += message.time
            if message.type == "note_on" and message.velocity:
                notes[round(24 * time / midi.ticks_per_beat) / 24, message.note] += 1
    return notes


@pytest.mark.parametrize("name", PIECES)
def test_every_bar_adds_up(name: str) -> None:
    root = write(*PIECES[name])
    for part in root.iter("part"):
        for measure in part.iter("measure"):
            if time := measure.find("attributes/time"):
                beats, unit = int(time.findtext("beats", "")), int(time.findtext("beat-type", ""))
            full = 96 * beats // unit
            upbeat = {"jig": 12, "chorale": 24}.get(name) if measure.get("implicit") else None
            assert set(lengths(measure)) == {upbeat or full}


@pytest.mark.parametrize("name", [name for name in PIECES if name != "loop"])
def test_what_is_written_sounds_like_what_is_played(name: str) -> None:
    text, controls = PIECES[name]
    music = play(text, controls)
    begin = max(music.bar_starts[0], min(note.start for note in music.notes))
    begin = begin if name in ("jig", "chorale") else music.bar_starts[0]
    played = Counter(
        (round(24 * (note.start - begin) * music.tempo / 60) / 24, note.pitch)
        for note in music.notes
    )
    assert heard(write_musicxml(music, controls)) == played


def test_an_upbeat_is_bar_zero_and_as_short_as_it_sounds() -> None:
    first, second, *_ = write(UPBEAT_JIG).iter("measure")
    assert (first.get("number"), first.get("implicit"), lengths(first)) == ("0", "yes", [12])
    assert (second.get("number"), second.get("implicit")) == ("1", None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Over the middle of the bar and over the bar line, but not over every beat.
        ("4/4 0:72:1 1:72:3/2 5/2:72:5/2\n4/4 1:72:3", [
            "C5 quarter", "C5 quarter(", "C5 eighth)", "C5 quarter.(", "C5 quarter)", "C5 half.",
        ]),
        ("3/4 0:72:5/2 5/2:74:1/2", ["C5 half(", "C5 eighth)", "D5 eighth"]),
        ("3/4 1:72:1/2", ["r quarter", "C5 eighth", "r eighth", "r quarter"]),
        ("2/4 0:72:1/2 1/2:72:1 3/2:72:1/2", ["C5 eighth", "C5 quarter", "C5 eighth"]),
        ("2/4 0:72:3/4 3/4:74:1/2 5/4:76:3/4", [
            "C5 eighth.", "D5 16th(", "D5 16th)", "E5 eighth.",
        ]),
        ("6/8 0:72:1 1:72:1/2 3/2:72:1\n6/8 0:72:3", [
            "C5 quarter", "C5 eighth", "C5 quarter", "r eighth", "C5 half.",
        ]),
        ("6/8 0:72:2", ["C5 quarter.(", "C5 eighth)", "r quarter"]),
        ("9/8 0:72:9/2", ["C5 half.(", "C5 quarter.)"]),
        ("4/4\n4/4 0:72:4", ["r bar", "C5 whole"]),
        ("4/4 0:72:9", ["C5 whole"]),  # nothing lasts longer than its piece
    ],
)  # fmt: skip
def test_beats_are_seen(text: str, expected: list[str]) -> None:
    assert signs(write(text)) == expected


def test_triplets_are_marked_from_their_first_sign_to_their_last() -> None:
    first, second, _ = write(TRIPLETS).iter("measure")
    marks = [mark.get("type") for mark in first.iter("tuplet")]
    assert marks == ["start", "stop"]
    assert len(list(first.iter("time-modification"))) == 3
    # Of quarters over half a bar, and of sixteenths after a plain eighth.
    assert signs(second) == [
        "C5 quarter", "D5 quarter", "E5 quarter", "D5 eighth", "C5 16th", "D5 16th", "E5 16th",
        "C5 quarter(",
    ]  # fmt: skip
    assert len(list(second.iter("tuplet"))) == 4


def test_moments_between_all_signs_are_moved_to_the_nearest() -> None:
    # A twelfth of a quarter from the beat, which only a dreaming model writes.
    told = signs(write("4/4 0:72:1 13/12:74:11/12 2:76:2"))
    assert told == ["C5 quarter", "r 32nd", "D5 16th.(", "D5 eighth)", "E5 half"]


@pytest.mark.parametrize(
    ("tonic", "mode", "name", "fifths"),
    [
        ("C", "Major", "C major", 0), ("C#", "Major", "D-flat major", -5),
        ("C#", "Minor", "C-sharp minor", 4), ("G#", "Major", "A-flat major", -4),
        ("G#", "Minor", "G-sharp minor", 5), ("D", "Dorian", "D dorian", 0),
        ("A", "Mixolydian", "A mixolydian", 2), ("Eb", "Minor", "E-flat minor", -6),
    ],
)  # fmt: skip
def test_a_key_has_the_simpler_of_its_names(tonic: str, mode: str, name: str, fifths: int) -> None:
    key = Key(TuneControls(tonic=KEY_NAMES.index(tonic), mode=mode))
    assert (key.name, key.fifths) == (name, fifths)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("tonic", range(12))
def test_every_pitch_of_every_key_has_one_name(tonic: int, mode: str) -> None:
    key = Key(TuneControls(tonic=tonic, mode=mode))
    naturals = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
    names = [key.spell(pitch) for pitch in range(12)]
    assert [(naturals[letter] + alter) % 12 for letter, alter in names] == list(range(12))
    signature = key.signature()
    assert abs(sum(signature.values())) == abs(key.fifths) <= 6
    assert set(signature.items()) < set(names)
    assert key.spell(tonic) in signature.items()


def test_the_leading_tone_of_minor_is_raised_and_not_the_tonic_lowered() -> None:
    minor = TuneControls(mode="Minor", tonic=9)
    told = signs(write("4/4 0:72:1 1:71:1 2:66:2", minor))
    assert told[1:] == ["G#4 quarter", "D#4 half"]
    major = TuneControls(mode="Major", tonic=5)
    assert signs(write("4/4 0:72:1 1:70:1 2:72:2", major))[1] == "Eb5 quarter"


def test_an_accidental_is_written_where_it_changes_something() -> None:
    text = "4/4 0:66:1 1:66:1 2:78:1 3:65:1\n4/4 0:65:1 1:66:1 2:66:3\n4/4 1:66:1 2:66:1"
    shown = [note.findtext("accidental") for note in write(text).iter("note")]
    # Once a bar in each octave; a tie over the bar line needs none, what follows it does.
    assert shown == [
        "sharp", None, "sharp", "natural",
        None, "sharp", None,
        None, "sharp", None, None,
    ]  # fmt: skip


def test_a_choir_has_two_staves_with_two_voices_each() -> None:
    controls = TuneControls(style="Chorale", mode="Major", tonic=0, instrument="organ")
    _, second, _ = write(CHORALE, controls).iter("measure")
    voices: dict[str, list[str]] = {}
    for note in second.iter("note"):
        place = f"{note.findtext('staff')}.{note.findtext('voice')}"
        voices.setdefault(place, []).append(
            note.findtext("pitch/step", "r") + note.findtext("pitch/octave", "")
        )
    assert voices == {
        "1.1": ["C5"], "1.2": ["E4", "F4", "E4"], "2.5": ["G3", "A3"], "2.6": ["C3"],
    }  # fmt: skip


def test_nobody_in_a_choir_breaks_off_for_a_note_that_another_can_sing() -> None:
    controls = TuneControls(style="Chorale", mode="Major", tonic=0, instrument="organ")
    text = "4/4 0:64:1:choir 0:72:4:choir 1:71:3:choir"
    told = [sign for sign in signs(write(text, controls)) if not sign.startswith("r")]
    assert told == ["C5 whole", "E4 quarter", "B4 half."]


def test_a_song_is_a_voice_above_a_piano() -> None:
    root = write(*PIECES["song"])
    assert [name.text for name in root.iter("part-name")] == ["Fiddle", "Piano"]
    singer, piano = root.iter("part")
    assert [clef.findtext("sign") for clef in singer.iter("clef")] == ["G"]
    assert [clef.findtext("sign") for clef in piano.iter("clef")] == ["G", "F"]
    assert [key.findtext("fifths") for key in piano.iter("key")] == ["5"]


def test_what_lies_low_gets_the_bass_clef() -> None:
    low = write("4/4 0:48:4")
    assert [clef.findtext("sign") for clef in low.iter("clef")] == ["F"]
    harp = write("4/4 0:72:4\n4/4 0:72:4", TuneControls(style="Air", tonic=8, accompaniment="harp"))
    assert [clef.findtext("sign") for clef in harp.iter("clef")] == ["G", "F"]


def test_chords_are_named_as_the_key_spells_them() -> None:
    controls = TuneControls(style="Jig", mode="Major", tonic=8, accompaniment="guitar")
    harmonies = list(write(UPBEAT_JIG, controls).iter("harmony"))
    roots = {
        h.findtext("root/root-step", "") + h.findtext("root/root-alter", "") for h in harmonies
    }
    assert "A-1" in roots
    assert roots <= {"A-1", "B-1", "C", "D-1", "E-1", "F"}


def test_strokes_are_written_as_players_read_them() -> None:
    controls = TuneControls(style="Jig", mode="Major", tonic=0, accompaniment="guitar")
    _, guitar = write(UPBEAT_JIG, controls).iter("part")
    second = list(guitar.iter("measure"))[1]
    told = [note.findtext("type") for note in second.iter("note") if note.find("chord") is None]
    assert told == ["eighth"] * 6


def test_eighths_are_beamed_by_the_beat_and_fours_in_common_time() -> None:
    eighths = " ".join(f"{Fraction(place, 2)}:72:1/2" for place in range(8))
    beams = [b.text for b in write(f"4/4 {eighths}").iter("beam")]
    assert beams == ["begin", "continue", "continue", "end"] * 2
    eighths = " ".join(f"{Fraction(place, 2)}:72:1/2" for place in range(6))
    assert [b.text for b in write(f"6/8 {eighths}").iter("beam")] == [
        "begin",
        "continue",
        "end",
    ] * 2
    assert [b.text for b in write(f"3/4 {eighths}").iter("beam")] == ["begin", "end"] * 3


def test_an_opened_file_can_be_written_down(tmp_path: Path) -> None:
    melody = [(place / 3, 1 / 3, pitch) for place, pitch in enumerate(SCALE * 3)]
    piece = open_midi(write_midi(tmp_path / "scale.mid", melody), TuneControls())
    music, controls = piece.step.arrangement, piece.step.controls
    score = write_musicxml(music, controls)
    assert all(len(set(lengths(measure))) == 1 for measure in fromstring(score).iter("measure"))
    assert sum(heard(score).values()) == len(music.notes)


def test_a_piece_of_rests_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="only rests"):
        write("4/4\n4/4")


@pytest.mark.parametrize("width", [300, 1000])
def test_a_score_is_drawn_in_the_colour_of_the_text_with_a_sign_for_each_note(width: int) -> None:
    text, controls = PIECES["jig"]
    music = play(text, controls)
    # From any thread: each has fonts of its own.
    with ThreadPoolExecutor(1) as other:
        drawn = other.submit(engrave, write_musicxml(music, controls), width).result()
    assert drawn.startswith("<svg")
    assert "black" not in drawn
    assert all(f'id="note-{number}"' in drawn for number in range(len(music.notes)))
    assert "Jig in D major" in drawn
    assert "http" not in drawn.replace("http://www.w3.org/", "")


def test_what_cannot_be_drawn_says_so() -> None:
    with pytest.raises(GalleryError, match="cannot be drawn"):
        engrave("no score", 600)
