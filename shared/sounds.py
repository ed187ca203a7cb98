"""Sound files: reads visitors' recordings, writes WAV with a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from shared.errors import InvalidRequest
from shared.recipe_files import add_to_sound

if TYPE_CHECKING:
    import numpy as np

SHORTEST_SECONDS = 0.5
RATES = 2_000, 384_000  # lowest and highest sample rate of a recording, in Hz
SILENCE = 10 ** (-60 / 20)  # a recording whose peak is below -60 dB of full scale is refused
PEAK = 0.99
USABLE = "Try a WAV, FLAC, OGG or MP3 file."


@dataclass(frozen=True, eq=False)
class Sound:
    """Sampled sound.

    Attributes:
        samples: (channels, T), float32, from -1 to 1.
        rate: Samples per second.
    """

    samples: np.ndarray
    rate: int

    @property
    def seconds(self) -> float:
        """Duration."""
        return self.samples.shape[1] / self.rate


@dataclass(frozen=True, eq=False)
class Recording:
    """The part of a visitor's file that was read.

    Attributes:
        sound: That part.
        seconds: Duration of the whole file.
    """

    sound: Sound
    seconds: float

    @property
    def cut(self) -> bool:
        """Whether the file is longer than what was read."""
        return self.sound.seconds < self.seconds - 0.01


def read_recording(
    path: str | Path, longest: float, part: Literal["beginning", "end"] = "beginning"
) -> Recording:
    """Read at most ``longest`` seconds of a visitor's recording; the rest is not decoded.

    Raises:
        InvalidRequest: No sound file, damaged, too short, silent, or outside ``RATES``.
    """
    import numpy as np
    import soundfile

    try:
        with soundfile.SoundFile(path) as file:
            rate, frames = file.samplerate, file.frames
            if not RATES[0] <= rate <= RATES[1]:
                raise InvalidRequest(
                    f"This recording has {rate:,} samples a second; {RATES[0]:,} to {RATES[1]:,} "
                    "can be used."
                )
            wanted = min(frames, round(longest * rate))
            if part == "end":
                file.seek(frames - wanted)
            samples = file.read(wanted, dtype="float32", always_2d=True).T
    except InvalidRequest:
        raise
    except (soundfile.LibsndfileError, OSError, RuntimeError, TypeError) as error:
        raise InvalidRequest(f"This file cannot be read as sound. {USABLE}") from error
    # The header of a truncated file may promise more, or the decoder may fill up with zeros.
    if samples.shape[1] < min(wanted, round(SHORTEST_SECONDS * rate)):
        raise InvalidRequest(
            f"This recording cannot be read: the file is damaged or cut short. {USABLE}"
        )
    sound = Sound(np.ascontiguousarray(np.nan_to_num(samples).clip(-1, 1)), rate)
    if sound.seconds < SHORTEST_SECONDS:
        raise InvalidRequest(
            f"This recording is too short: {sound.seconds:.2f} seconds. "
            f"It needs at least {SHORTEST_SECONDS:g}."
        )
    if np.abs(sound.samples).max() < SILENCE:
        where = f"The {part} of this recording" if wanted < frames else "This recording"
        raise InvalidRequest(f"{where} is silent. Choose one in which something sounds.")
    return Recording(sound, frames / rate)


def convert(sound: Sound, rate: int, channels: int) -> Sound:
    """Resample; mix down to one channel, or copy one to two."""
    import numpy as np
    import soxr

    samples = sound.samples
    if channels == 1:
        samples = samples.mean(axis=0, keepdims=True)
    elif samples.shape[0] != channels:
        samples = np.repeat(samples.mean(axis=0, keepdims=True), channels, axis=0)
    if rate != sound.rate:
        samples = soxr.resample(samples.T, sound.rate, rate).T
    return Sound(np.ascontiguousarray(samples, dtype=np.float32), rate)


def limit_peak(sound: Sound) -> Sound:
    """Scale a sound down if its peak would clip."""
    import numpy as np

    peak = float(np.abs(sound.samples).max(initial=0.0))
    return Sound(sound.samples * (PEAK / peak), sound.rate) if peak > PEAK else sound


def save_wav(sound: Sound, path: Path, recipe: Mapping[str, Any] | None = None) -> None:
    """Write 16-bit WAV, scaled down if it would clip, with its recipe as the comment."""
    import soundfile

    samples = limit_peak(sound).samples.T
    channels = samples.shape[1]
    with soundfile.SoundFile(path, "w", sound.rate, channels, "PCM_16", format="WAV") as file:
        if recipe is not None:
            add_to_sound(file, recipe)
        file.write(samples)
