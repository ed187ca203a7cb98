"""Music as sound, a frame of codebook tokens at a time. No Gradio here."""

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

LEAST_KEPT = 0.2  # of a window, for the next one to go on from


class MusicGenRequest(Request):
    """What to play, how long and how boldly.

    Attributes:
        description: Plain words; empty leaves everything open.
        duration: Seconds of new music.
        cfg_coef: Weight of classifier-free guidance: how closely to follow the description.
        temperature: Divides the logits: low stays with likely sounds, high takes risks.
        top_k: Sample among this many likeliest tokens; 0 means all.
        top_p: Sample among the likeliest tokens that together have this probability.
        extend_stride: Seconds by which the window moves on in music longer than itself.
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
    """A request with the recordings that belong to it.

    Attributes:
        request: Its seed must be drawn.
        prompt: What to go on from; its end counts.
        melody: A tune to follow; it begins again where it ends too soon.
    """

    request: MusicGenRequest
    prompt: Sound | None = None
    melody: Sound | None = None


@dataclass(frozen=True, eq=False)
class MusicGenStep:
    """The state after one more frame.

    Attributes:
        codes: All tokens of the frames so far, those of the recording first, (K, T).
        given: Frames of the recording.
        total: Frames that there will be, the recording's included.
        layout: How they spell sound.
        engine: What runs the model.
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
        """How much new music there is."""
        return (self.codes.shape[1] - self.given) / self.layout.frame_rate

    @property
    def duration(self) -> float:
        """How much there will be."""
        return (self.total - self.given) / self.layout.frame_rate


def generate_musicgen(
    engine: MusicGenEngine, job: MusicGenJob, stop: Event
) -> Generator[MusicGenStep, None, None]:
    """Yield after every frame until all are there, or ``stop``; ``render`` makes them sound.

    Simultaneous calls do not disturb each other, and a seed gives the same music each time.

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
