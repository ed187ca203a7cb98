"""Recordings of visitors, good and bad, and the WAV files that are handed out."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import soundfile

from shared.errors import InvalidRequest
from shared.recipe_files import read_recipe
from shared.sounds import Sound, convert, limit_peak, read_recording, save_wav


def make_tone(seconds: float, rate: int = 8000, channels: int = 1, hertz: float = 440) -> Sound:
    wave = 0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)
    return Sound(np.repeat(wave[None].astype(np.float32), channels, axis=0), rate)


def write(path: Path, sound: Sound) -> Path:
    soundfile.write(path, sound.samples.T, sound.rate)
    return path


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (96_000, 1)])
@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_recordings_of_any_rate_are_read(
    tmp_path: Path, rate: int, channels: int, ending: str
) -> None:
    recording = read_recording(write(tmp_path / f"a.{ending}", make_tone(2, rate, channels)), 10)
    assert recording.sound.samples.shape == (channels, 2 * rate)
    assert recording.seconds == 2
    assert not recording.cut


@pytest.mark.parametrize("ending", ["mp3", "ogg"])
def test_compressed_recordings_are_read(tmp_path: Path, ending: str) -> None:
    recording = read_recording(write(tmp_path / f"a.{ending}", make_tone(2, 44_100)), 10)
    assert recording.seconds == pytest.approx(2, abs=0.1)


def test_only_the_part_that_is_asked_for_is_read(tmp_path: Path) -> None:
    low, high = make_tone(30, hertz=200), make_tone(30, hertz=2000)
    both = Sound(np.concatenate([low.samples, high.samples], axis=1), 8000)
    path = write(tmp_path / "long.wav", both)
    end, beginning = read_recording(path, 5, "end"), read_recording(path, 5)
    assert end.sound.seconds == beginning.sound.seconds == 5
    assert end.cut
    assert end.seconds == 60
    assert np.abs(end.sound.samples - high.samples[:, -40_000:]).max() < 1e-3
    assert np.abs(beginning.sound.samples - low.samples[:, :40_000]).max() < 1e-3


def test_an_hour_is_not_decoded_to_use_its_end(tmp_path: Path) -> None:
    path = tmp_path / "hour.flac"
    with soundfile.SoundFile(path, "w", 8000, 1) as file:
        for _ in range(60):
            file.write(make_tone(60).samples[0])
    recording = read_recording(path, 20, "end")
    assert recording.seconds == 3600
    assert recording.sound.seconds == 20


def test_a_silent_recording_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "silent.wav", Sound(np.zeros((1, 8000), np.float32), 8000))
    with pytest.raises(InvalidRequest, match=r"This recording is silent\."):
        read_recording(path, 10)
    quiet_end = np.concatenate([make_tone(5).samples, np.zeros((1, 40_000))], axis=1)
    path = write(tmp_path / "end.wav", Sound(quiet_end, 8000))
    with pytest.raises(InvalidRequest, match=r"The end of this recording is silent\."):
        read_recording(path, 3, "end")


def test_a_recording_that_is_too_short_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"too short: 0\.10 seconds"):
        read_recording(write(tmp_path / "short.wav", make_tone(0.1)), 10)


@pytest.mark.parametrize("content", [b"", b"I am not a sound. " * 99, bytes(2000)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "song.wav"
    path.write_bytes(content)
    with pytest.raises(InvalidRequest, match="cannot be read as sound"):
        read_recording(path, 10)
    with pytest.raises(InvalidRequest, match="cannot be read as sound"):
        read_recording(tmp_path / "missing.wav", 10)


@pytest.mark.parametrize("ending", ["wav", "flac"])
def test_a_file_that_is_cut_short_is_used_or_refused_but_never_crashes(
    tmp_path: Path, ending: str
) -> None:
    whole = write(tmp_path / f"whole.{ending}", make_tone(20)).read_bytes()
    path = tmp_path / f"cut.{ending}"
    for length in (40, 100, len(whole) // 2):
        path.write_bytes(whole[:length])
        with contextlib.suppress(InvalidRequest):
            assert 0.5 <= read_recording(path, 30).sound.seconds < 20


def test_converting_keeps_pitch_and_length() -> None:
    converted = convert(make_tone(1, 44_100, channels=2), 32_000, 1)
    assert converted.samples.shape == (1, 32_000)
    spectrum = np.abs(np.fft.rfft(converted.samples[0]))
    assert spectrum.argmax() == 440
    assert convert(make_tone(1), 8000, 2).samples.shape == (2, 8000)


def test_what_is_too_loud_is_turned_down_and_not_clipped(tmp_path: Path) -> None:
    loud = Sound(4 * make_tone(1).samples, 8000)
    save_wav(loud, tmp_path / "a.wav")
    samples, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    assert 0.98 < np.abs(samples).max() < 1
    assert np.abs(samples / np.abs(samples).max() - loud.samples[0] / 2).max() < 1e-3
    assert limit_peak(make_tone(1)).samples.max() < 0.6, "what is not too loud stays"


def test_a_wav_tells_its_recipe(tmp_path: Path) -> None:
    recipe = {"model": "music/tiny", "settings": {"description": "Geige für zwölf Füchse " * 20}}
    save_wav(make_tone(1), tmp_path / "a.wav", recipe)
    assert read_recipe(tmp_path / "a.wav") == recipe
    assert soundfile.info(tmp_path / "a.wav").subtype == "PCM_16"
    save_wav(make_tone(1), tmp_path / "b.wav")
    assert read_recipe(tmp_path / "b.wav") is None
    assert read_recipe(tmp_path / "missing.wav") is None
