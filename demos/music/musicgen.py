"""Generates music as sound, one frame of codebook tokens at a time. No Gradio here."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from pydantic import Field

from shared.errors import InvalidRequest
from shared.musicgen.engine import Conditions, Layout, MusicGenEngine, Passage, write_codes
from shared.requests import Request
from shared.sampling import Sampling
from shared.sounds import Sound, convert

if TYPE_CHECKING:
    import numpy as np

LEAST_KEPT = 0.2  # least share of a window that the next one continues from


class MusicGenRequest(Request):
    """What to play, how long, and how to sample.

    Attributes:
        description: Plain words; may be empty.
        duration: Seconds of new music.
        cfg_coef: Weight of classifier-free guidance: how closely to follow the description.
        temperature: Divides the logits; low favours likely sounds.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability.
        extend_stride: Seconds by which the window moves if the music is longer than the window.
    """

    description: str = Field("", max_length=500)
    duration: float = Field(8.0, ge=1.0, le=120.0)
    cfg_coef: float = Field(3.0, ge=1.0, le=10.0)
    temperature: float = Field(1.0, ge=0.1, le=2.0)
    top_k: int = Field(250, ge=0, le=2048)
    top_p: float = Field(1.0, ge=0.05, le=1.0)
    extend_stride: float = Field(18.0, ge=5.0, le=25.0)


@dataclass(frozen=True, eq=False)
class MusicGenJob:
    """A request with its recordings.

    Attributes:
        request: Its seed must not be -1.
        prompt: A recording to continue; only its end is used if it is long.
        melody: A melody to follow; repeated if it is too short.
    """

    request: MusicGenRequest
    prompt: Sound | None = None
    melody: Sound | None = None


@dataclass(frozen=True, eq=False)
class MusicGenStep:
    """The state after one more frame.

    Attributes:
        codes: All tokens so far, (K, T); those of the recording come first.
        given: Number of frames of the recording.
        total: Number of frames at the end, including the recording.
        layout: Frame rate, codebooks and channels of ``codes``.
        engine: Name of the library that runs the model.
        left: Estimated seconds until the end.
    """

    codes: np.ndarray
    given: int
    total: int
    layout: Layout
    engine: str
    left: float

    @property
    def seconds(self) -> float:
        """Seconds of new music so far."""
        return (self.codes.shape[1] - self.given) / self.layout.frame_rate

    @property
    def duration(self) -> float:
        """Seconds of new music at the end."""
        return (self.total - self.given) / self.layout.frame_rate


def generate_musicgen(
    engine: MusicGenEngine, job: MusicGenJob, stop: Event
) -> Generator[MusicGenStep, None, None]:
    """Yield after every frame until the end, or ``stop``; ``render`` decodes the tokens.

    A seed always gives the same music, also when several calls run at the same time.

    Raises:
        InvalidRequest: The model cannot follow a melody.
    """
    request, layout = job.request, engine.layout
    if job.melody and not engine.follows_melody:
        raise InvalidRequest(
            "This model cannot follow a melody. Choose MusicGen Melody, or let it go on from your "
            "recording instead."
        )
    stride = min(
        round(request.extend_stride * layout.frame_rate), round(layout.window * (1 - LEAST_KEPT))
    )
    prompt, melody = None, None
    if job.prompt:
        prompt = engine.encode(convert(job.prompt, layout.sample_rate, layout.channels))
        prompt = prompt[:, -(layout.window - stride) :]
    if job.melody:
        melody = convert(job.melody, layout.sample_rate, 1)
    passage = Passage(
        conditions=Conditions(request.description, request.cfg_coef, melody),
        frames=max(1, round(request.duration * layout.frame_rate)),
        stride=stride,
        sampling=Sampling(request.temperature, request.top_k, request.top_p),
        seed=request.seed,
        prompt=prompt,
    )
    given = 0 if prompt is None else prompt.shape[1]
    total = given + passage.frames
    began = time.monotonic()
    for codes in write_codes(engine, passage, stop):
        done = codes.shape[1] - given
        yield MusicGenStep(
            codes=codes,
            given=given,
            total=total,
            layout=layout,
            engine=engine.name,
            left=(time.monotonic() - began) / done * (passage.frames - done),
        )
