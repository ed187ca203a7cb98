"""Arranging, rendering, loudness, and the files that visitors keep."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from symusic import Note, Score, Tempo, Track

from demos.music.generate import Bar, MusicStep
from demos.music.recording import Files, PieceAudio, name_file, save
from shared.errors import GalleryError
from shared.recipe_files import read_recipe
from shared.tunes import soundfont as soundfonts
from shared.tunes.arrangement import arrange, to_score
from shared.tunes.controls import INSTRUMENTS, TuneControls
from shared.tunes.loudness import CEILING, LOUDNESS, find_gain, measure_loudness, normalize
from shared.tunes.measures import read_measures
from shared.tunes.sound import SAMPLE_RATE, render, synthesize
from shared.tunes.soundfont import find_soundfont

WALTZ = """
3/4 2:67:1
3/4 0:72:1 1:76:1 2:79:1
3/4 0:77:2 2:74:1
3/4 0:71:1 1:74:1 2:77:1
3/4 0:76:2 2:67:1
3/4 0:69:1 1:72:1 2:76:1
3/4 0:74:2 2:77:1
3/4 0:71:1 1:69:1 2:67:1
3/4 0:72:3
"""
PLAYED = TuneControls(
    style="Air", mode="Major", tempo=150, instrument="flute", accompaniment="harp"
)


def waltz(**changes: object) -> MusicStep:
    bars = tuple(Bar(1, (), measure) for measure in read_measures(WALTZ))
    return MusicStep(replace(PLAYED, **changes), bars)  # type: ignore[arg-type]


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[[str], Path]:
    made: list[Path] = []

    def new_file(name: str) -> Path:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(folder / name)
        return made[-1]

    return new_file


def save_all(step: MusicStep, recipe: dict[str, Any], new_file: Callable[[str], Path]) -> Files:
    audio = PieceAudio(new_file)
    audio.add(step)
    return save(step, recipe, new_file, audio.play(step))


def sine(level: float, seconds: float, rate: int, channels: int = 1) -> np.ndarray:
    wave = level * np.sin(2 * np.pi * 997 * np.arange(round(seconds * rate)) / rate)
    return np.stack([wave] * channels, axis=1).astype(np.float32)


@pytest.mark.parametrize("rate", [32_000, 44_100, 48_000])
def test_loudness_of_the_standards_own_examples(rate: int) -> None:
    # A 997 Hz sine at full scale in one channel reads -3.01 LUFS; in two, 3.01 more.
    assert measure_loudness(sine(1, 5, rate), rate) == pytest.approx(-3.01, abs=0.02)
    assert measure_loudness(sine(1, 5, rate, 2), rate) == pytest.approx(0, abs=0.02)
    # Gates: what is 40 dB quieter does not count, and neither does silence.
    parts = [sine(0.1, 6, rate, 2), sine(0.001, 20, rate, 2), np.zeros((9 * rate, 2), np.float32)]
    assert measure_loudness(np.concatenate(parts), rate) == pytest.approx(-20, abs=0.15)


@pytest.mark.parametrize("rate", [22_050, 32_000, 44_100, 48_000])
def test_a_sine_reads_as_its_level_says(rate: int) -> None:
    # EBU Tech 3341: a 997 Hz sine at -23 dBFS in both channels reads -23 LUFS.
    quiet = sine(10 ** (-23 / 20), 20, rate, 2)
    assert measure_loudness(quiet, rate) == pytest.approx(-23, abs=0.1)
    # A sound shorter than a block of 0.4 s counts with silence after it.
    one_block, half = (sine(0.1, seconds, rate, 2) for seconds in (0.4, 0.2))
    padded = measure_loudness(one_block, rate) - measure_loudness(half, rate)
    assert padded == pytest.approx(3, abs=0.2)
    # What ends within a hop is measured up to its last whole one.
    assert measure_loudness(sine(0.1, 0.55, rate, 2), rate) == pytest.approx(-20, abs=0.1)


def test_silence_and_very_short_sounds_have_a_gain_all_the_same() -> None:
    assert measure_loudness(np.zeros((10, 2), np.float32), 44_100) == -math.inf
    assert find_gain(np.zeros((0, 2), np.float32), 44_100) == 1
    assert np.isfinite(normalize(sine(0.5, 0.05, 44_100, 2), 44_100)).all()


def test_a_sound_with_one_loud_click_is_not_clipped() -> None:
    sound = sine(0.01, 3, 44_100, 2)
    sound[5] = 1
    assert np.abs(normalize(sound, 44_100)).max() == pytest.approx(CEILING, abs=1e-5)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_instrument_keeps_to_the_stated_loudness_and_never_clips(instrument: str) -> None:
    sound = render(to_score(waltz(instrument=instrument).arrangement, 0.0))
    assert sound.dtype == np.float32
    assert sound.shape[1] == 2
    assert np.abs(sound).max() <= CEILING + 1e-6
    at_the_ceiling = np.abs(sound).max() > CEILING - 1e-3
    loudness = measure_loudness(sound, SAMPLE_RATE)
    assert loudness == pytest.approx(LOUDNESS, abs=0.1) or (at_the_ceiling and loudness < LOUDNESS)


def test_the_accompaniment_is_softer_than_the_melody() -> None:
    for instrument, accompaniment in (("flute", "harp"), ("piano", "organ"), ("harp", "brass")):
        music = waltz(instrument=instrument, accompaniment=accompaniment).arrangement
        melody, chords = (
            synthesize(to_score(replace(music, notes=tuple(n for n in music.notes if keep(n)))))
            for keep in (lambda note: note.track == 0, lambda note: note.track == 1)
        )
        softer = measure_loudness(melody, SAMPLE_RATE) - measure_loudness(chords, SAMPLE_RATE)
        assert 2 < softer < 12, (instrument, accompaniment)


@pytest.mark.parametrize("sample_rate", [22_050, 44_100])
def test_rendering_is_as_long_as_the_score_and_its_dying_away(sample_rate: int) -> None:
    step = waltz()
    seconds = step.arrangement.seconds
    assert seconds == pytest.approx((8 * 3 + 1) * 60 / 150)
    sound = synthesize(to_score(step.arrangement, 0.0), sample_rate)
    assert seconds <= len(sound) / sample_rate <= seconds + 2.1


def level(sound: np.ndarray, seconds: float) -> float:
    """Decibels of the tenth of a second from ``seconds`` on."""
    part = sound[round(seconds * SAMPLE_RATE) :][: SAMPLE_RATE // 10]
    return 20 * math.log10(math.sqrt(float(np.square(part).mean())) + 1e-9)


def play_note(program: int, velocity: int = 90) -> np.ndarray:
    """Sound of the note A for two seconds, and its dying away."""
    score, track = Score(24), Track(program=program)
    score.tempos.append(Tempo(0, 60))
    track.notes.append(Note(0, 48, 69, velocity))
    score.tracks.append(track)
    return synthesize(score)


@pytest.mark.parametrize("instrument", INSTRUMENTS)
def test_every_note_dies_away_instead_of_stopping_dead(instrument: str) -> None:
    sound = play_note(INSTRUMENTS[instrument])
    assert level(sound, 0.1) > -50
    assert level(sound, len(sound) / SAMPLE_RATE - 0.1) < -50
    steps = np.abs(np.diff(sound, axis=0)).max(axis=1)
    end = round(1.95 * SAMPLE_RATE)
    assert steps[end:].max(initial=0) <= 1.1 * steps[:end].max(), "a click"
    assert np.abs(sound[-1]).max() < 1e-4


def test_what_is_plucked_fades_and_what_is_bowed_does_not() -> None:
    harp, fiddle = play_note(INSTRUMENTS["harp"]), play_note(INSTRUMENTS["fiddle"])
    assert level(harp, 0.2) - level(harp, 1.8) > 6
    assert abs(level(fiddle, 0.4) - level(fiddle, 1.8)) < 3


def test_a_note_that_is_struck_harder_is_louder() -> None:
    louder = level(play_note(0, 100), 0.1) - level(play_note(0, 50), 0.1)
    assert louder == pytest.approx(40 * math.log10(2), abs=1.5)


def test_a_compressed_soundfont_sounds_like_the_one_it_was_made_of(tmp_path: Path) -> None:
    compressed = tmp_path / "compressed.sf3"
    compressed.write_bytes(compress(find_soundfont().read_bytes()))
    assert compressed.stat().st_size < 0.5 * find_soundfont().stat().st_size
    score = to_score(waltz().arrangement, 0.0)
    own, same = synthesize(score), synthesize(score, soundfont=compressed)
    length = min(len(own), len(same))
    assert np.corrcoef(own[:length, 0], same[:length, 0])[0, 1] > 0.98


def compress(data: bytes) -> bytes:
    """Do what a program for .sf3 does: each sample as Ogg Vorbis, loops from its own beginning."""
    lists = soundfonts._lists(data)
    frames = np.frombuffer(lists["sdta"]["smpl"], "<i2")
    packed, headers = b"", b""
    for header in soundfonts._SAMPLE.iter_unpack(lists["pdta"]["shdr"]):
        name, start, end, loop_start, loop_end, *rest, kind = header
        if start < end:
            file = io.BytesIO()
            soundfile.write(file, frames[start:end], 44_100, format="OGG", subtype="VORBIS")
            loop_start, loop_end = loop_start - start, loop_end - start
            start, end, kind = len(packed), len(packed) + len(file.getvalue()), kind | 0x10
            packed += file.getvalue()
        where = (start, end, loop_start, loop_end)
        headers += soundfonts._SAMPLE.pack(name, *where, *rest, kind)
    lists["sdta"]["smpl"], lists["pdta"]["shdr"] = packed, headers
    body = (
        soundfonts._chunk(
            "LIST",
            name.encode() + b"".join(map(soundfonts._chunk, *zip(*one.items(), strict=True))),
        )
        for name, one in lists.items()
    )
    return soundfonts._chunk("RIFF", b"sfbk" + b"".join(body))


def test_the_same_bars_give_the_same_files(new_file: Callable[[str], Path]) -> None:
    first, second = (save_all(waltz(), {"seed": 1}, new_file) for _ in range(2))
    assert first.wav.read_bytes() == second.wav.read_bytes()
    assert first.midi.read_bytes() == second.midi.read_bytes()


def test_files_say_what_they_are(new_file: Callable[[str], Path]) -> None:
    recipe = {"seed": 7, "settings": {"description": "Grüße"}}
    files = save_all(waltz(), recipe, new_file)
    info = soundfile.info(files.wav)
    assert (info.samplerate, info.subtype, info.channels) == (44_100, "PCM_16", 2)
    assert files.wav.name == "air-d-major-flute-and-harp-7.wav"
    assert read_recipe(files.wav) == recipe
    score = Score(files.midi)
    marker = json.loads(score.markers[0].text)
    assert read_measures(marker.pop("measures")) == read_measures(WALTZ)
    assert marker == recipe
    assert [track.name for track in score.tracks] == ["melody: flute", "chords: harp"]
    assert str(score.time_signatures[0].numerator) == "3"
    assert [(key.key, key.tonality) for key in score.key_signatures] == [(2, 0)], "D major"


@pytest.mark.parametrize(
    "settings", [{"beginning": "4/4 0:60:1\n" * 2000}, {"description": "音" * 500}]
)
def test_a_long_recipe_is_whole_in_the_notes_and_short_in_the_sound(
    settings: dict[str, str], new_file: Callable[[str], Path]
) -> None:
    recipe = {"seed": 7, "settings": settings}
    files = save_all(waltz(), recipe, new_file)
    assert json.loads(Score(files.midi).markers[0].text).items() >= recipe.items()
    short = read_recipe(files.wav)
    assert short
    assert short["seed"] == 7


def test_in_a_song_the_singer_comes_first_and_the_pianist_is_chosen() -> None:
    measures = read_measures("4/4 0:48:4:piano 0:60:4:piano 2:72:2:voice")
    controls = TuneControls(style="Lied", instrument="oboe", accompaniment="harp")
    music = arrange(measures, controls)
    assert [(part.name, part.instrument) for part in music.parts] == [
        ("voice", "oboe"),
        ("piano", "harp"),
    ]
    assert not music.chords
    alone = arrange(measures, replace(controls, accompaniment=None))
    assert [note.pitch % 12 for note in alone.notes] == [2]


def test_a_file_name_holds_nothing_odd() -> None:
    played = {"tonic": 1, "instrument": "pan pipe", "loop": True, "meter": "3/4"}
    name = name_file(waltz(mode="Minor", **played), 5)
    assert name == "air-c-sharp-minor-pan-pipe-and-harp-loop-5"


@pytest.mark.parametrize("count", [9, 7, 6, 5])
def test_chunks_add_up_to_the_whole_also_when_it_is_stopped(
    count: int, new_file: Callable[[str], Path]
) -> None:
    step = waltz()
    step = replace(step, bars=step.bars[:count])
    audio = PieceAudio(new_file)
    for bars in range(1, len(step.bars) + 1):
        audio.add(MusicStep(step.controls, step.bars[:bars], done=bars / 10))
    audio.add(step)
    starts = [chunk.start for chunk in audio.chunks]
    assert len(starts) > 1
    assert all(later - start > 1 for start, later in pairwise(starts))
    assert audio.seconds == step.arrangement.seconds
    whole, added = synthesize(to_score(step.arrangement, 0.0)), audio.play(step)
    assert len(added) == pytest.approx(len(whole), abs=SAMPLE_RATE / 10)
    # A note may begin a millisecond earlier or later, which nobody hears: compare how loud it is.
    tenths = len(whole) // (SAMPLE_RATE // 10) - 1
    for tenth in range(tenths):
        if level(whole, tenth / 10) > -50:
            assert level(added, tenth / 10) == pytest.approx(level(whole, tenth / 10), abs=2)


def test_nothing_is_passed_on_before_there_is_something_to_hear(
    new_file: Callable[[str], Path],
) -> None:
    whole = waltz()
    steps = [replace(whole, bars=whole.bars[:n], done=n / 9) for n in range(1, 10)]
    audio = PieceAudio(new_file)
    heard = [(len(step.bars), len(audio.chunks)) for step in steps if audio.advance(step)]
    assert all(chunks for _, chunks in heard)
    assert heard[0][0] >= 3, "the upbeat and a full bar sound, 1.6 seconds"
    assert heard[-1][0] == 9
    assert PieceAudio(new_file).advance(waltz()), "the last step is waited for"


def test_a_loop_has_no_seam(new_file: Callable[[str], Path]) -> None:
    step = waltz(loop=True, instrument="music box")
    audio = PieceAudio(new_file)
    audio.add(step)
    sound = audio.play(step)
    assert len(sound) == round(8 * 3 * 60 / 150 * SAMPLE_RATE), "the upbeat is left out"
    # Two rounds of the loop are what the piece sounds like when it is played on and on.
    twice = replace(step, bars=(*step.bars[1:], *step.bars[1:]))
    long = synthesize(to_score(arrange([b.measure for b in twice.bars], twice.controls), 0.0))
    second = long[len(sound) : 2 * len(sound)]
    for tenth in range(len(sound) // (SAMPLE_RATE // 10) - 1):
        assert level(sound, tenth / 10) == pytest.approx(level(second, tenth / 10), abs=1.5)
    seam = np.abs(sound[0] - sound[-1]).max()
    assert seam <= np.abs(np.diff(sound, axis=0)).max() + 0.01


def test_a_score_without_notes_is_silence() -> None:
    assert not render(Score(24)).any()


def test_a_missing_soundfont_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfonts.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(GalleryError, match="pip install pretty_midi"):
        find_soundfont()


def test_a_damaged_soundfont_is_explained(tmp_path: Path) -> None:
    damaged = tmp_path / "piano.sf2"
    damaged.write_bytes(find_soundfont().read_bytes()[:2000])
    with pytest.raises(GalleryError, match="GALLERY_SOUNDFONT"):
        render(to_score(waltz().arrangement), soundfont=damaged)
