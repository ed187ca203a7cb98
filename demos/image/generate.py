"""Text to image by latent diffusion, one denoising step at a time. No Gradio here."""

from __future__ import annotations

import copy
import functools
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import groupby
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints, field_validator

from demos.image.noise import CLEAN, OWN, SCHEDULERS, Mix, make_scheduler, mix_at, predict_clean
from demos.image.preview import LinearDecoder, fit_linear_decoder, to_vae
from shared.requests import MAX_SEED, Request

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

MAX_PROMPT = 1000
MAX_STEPS = 50
# A film keeps as many pictures of a batch as fit in this many bytes; the page keeps it.
MAX_FILM_BYTES = 8_000_000
# Latents of at most this many places are cheap to decode: previews then show the network's
# prediction, exactly decoded, for this share of a drawing's time, after this many seconds.
SMALL_PLACES, PREVIEW_SHARE, PREVIEW_AFTER = 256, 0.03, 0.3
# Threads that draw. They are kept: each new one would have to gather torch's workers anew.
_THREADS = ThreadPoolExecutor(16, "image")
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_PROMPT)]


class DiffusionRequest(Request):
    """What all ways to draw have in common.

    Attributes:
        prompt: What the picture should show.
        negative_prompt: What it should not show; needs a guidance_scale above 1.
        num_inference_steps: Denoising steps from pure noise to the picture.
        guidance_scale: How far each step is pushed towards the prompt, away from the negative
            prompt (Ho and Salimans 2022, arXiv:2207.12598); up to 1 there is no push.
        scheduler: Of ``demos.image.noise.SCHEDULERS``.
    """

    prompt: Prompt = Field("a happy blue monster with yellow horns", min_length=1)
    negative_prompt: Prompt = ""
    num_inference_steps: int = Field(6, ge=1, le=MAX_STEPS)
    guidance_scale: float = Field(2.0, ge=0.0, le=15.0)
    scheduler: str = OWN

    @field_validator("scheduler")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in SCHEDULERS:
            raise ValueError(f"is unknown. Choose one of: {', '.join(SCHEDULERS)}")
        return name


class ImageRequest(DiffusionRequest):
    """What to draw, and how.

    Attributes:
        num_images: Pictures to draw at once; each has the seed after that of the one before, and is
            the same as if it were drawn alone, but for rounding.
        width: Pixels, a multiple of 8; 0 is the model's own size.
        height: As ``width``.
    """

    num_images: int = Field(1, ge=1, le=9)
    width: int = Field(0, ge=0, le=1024, multiple_of=8)
    height: int = Field(0, ge=0, le=1024, multiple_of=8)

    @property
    def seeds(self) -> list[int]:
        """The seed of each picture."""
        return [(self.seed + number) % (MAX_SEED + 1) for number in range(self.num_images)]


@dataclass(frozen=True)
class Word:
    """A word of the prompt as the tokenizer sees it.

    Attributes:
        text: The word as the visitor wrote it.
        pieces: Tokens it became: 1 if the vocabulary has the word, else it was spelled out.
        is_read: False if it lies beyond the longest prompt that the model reads.
    """

    text: str
    pieces: int
    is_read: bool


@dataclass(frozen=True)
class Frame:
    """What the denoiser looked at in one step, or the end of it.

    Attributes:
        latents: (B, C, H, W) float16, noise and all, scaled to the deviation of clean ones.
        clean: Same shape: the clean latents that the network believed in. At the end, ``latents``.
        noise: Share of noise, 0 to 1.
        timestep: As the scheduler counts; 0 at the end.
    """

    latents: np.ndarray
    clean: np.ndarray
    noise: float
    timestep: float


@dataclass(frozen=True)
class Film:
    """Every step of a drawing so far: n steps have n frames, and the finished picture one more.

    Attributes:
        frames: In order, from pure noise.
        decoder: Makes a rough picture of any of them at once. None if there are no frames, because
            the model's latents are not laid out as a picture.
    """

    frames: tuple[Frame, ...] = ()
    decoder: LinearDecoder | None = None


@dataclass(frozen=True)
class ImageStep:
    """The state after one more denoising step, or the finished pictures.

    Attributes:
        index: Steps done, from 1.
        total: Steps in all; more than were asked for with schedulers that go twice.
        words: How the prompt was read.
        latents: What there is now, (B, C, H, W); None for a pipeline whose latents are not laid out
            as a picture.
        beliefs: In longer drawings of small pictures, what the network lately believed in.
        film: All that came before.
        images: The finished pictures, at the model's own resolution, with the last step.
        withheld: Which of them a safety checker found unfit to show; those are black.
    """

    index: int
    total: int
    words: tuple[Word, ...]
    latents: np.ndarray | None = None
    beliefs: tuple[Image, ...] = ()
    film: Film = Film()
    images: tuple[Image, ...] = ()
    withheld: tuple[bool, ...] = ()

    # Only for who looks: a page shows fewer steps than there are.
    @functools.cached_property
    def previews(self) -> tuple[Image, ...]:
        """A look at each picture as it is now: a belief, if there is one, or roughly decoded."""
        if self.latents is None or not self.film.decoder:
            return ()
        return self.beliefs or tuple(self.film.decoder.decode(_tame(self.latents)))

    @property
    def pictures(self) -> tuple[Image, ...]:
        """The finished pictures, or the latest previews until there are some."""
        return self.images or self.previews


class _Stopped(Exception):
    """Leaves the pipeline's denoising loop early."""


def generate_image(pipeline: Any, request: ImageRequest, stop: Event) -> Iterator[ImageStep]:
    """Yield after every denoising step and, with the pictures, at the end.

    The stock pipeline draws. Noise comes from generators on the CPU, so a seed gives the same
    picture each time, on any device. Setting ``stop`` or closing the iterator ends it within one
    step.

    Args:
        pipeline: A text-to-image pipeline of diffusers. It is not changed; two calls may share it.
        request: What to draw; its seed must be drawn.
        stop: Ends the drawing; no picture comes then.

    Raises:
        InvalidRequest: The scheduler does not suit the model.
        Exception: Whatever the pipeline raises.
    """
    own = borrow_pipeline(pipeline, request.scheduler)
    size = {side: value for side in ("width", "height") if (value := getattr(request, side))}
    yield from run_pipeline(own, request, stop, seeds=request.seeds, **size)


def run_pipeline(
    own: Any, request: DiffusionRequest, stop: Event, *, seeds: Sequence[int], **inputs: Any
) -> Iterator[ImageStep]:
    """Let a borrowed pipeline draw one picture for each of ``seeds``, in another thread.

    Args:
        own: What ``borrow_pipeline`` returned, or another pipeline made from that.
        request: What to draw, and how.
        stop: Ends the drawing.
        seeds: One for each picture.
        inputs: Further arguments of the pipeline's call, such as a picture to start from.

    Raises:
        Exception: Whatever the pipeline raises.
    """
    import torch

    steps: SimpleQueue[ImageStep | None] = SimpleQueue()
    closed = Event()
    recorder = _Recorder(own.scheduler)
    decoder = fit_linear_decoder(own)
    step = ImageStep(0, 0, read_prompt(own.tokenizer, request.prompt))

    seen: tuple[Image, ...] = ()
    began, spent = time.monotonic(), 0.0

    def look(pipe: Any) -> tuple[Image, ...]:
        """The latest belief that there was time to decode."""
        nonlocal seen, spent
        now = time.monotonic()
        frame = recorder.frames[-1]
        small = frame.clean[0, 0].size <= SMALL_PLACES and len(frame.clean) == len(seeds)
        if small and now - began > PREVIEW_AFTER and spent <= PREVIEW_SHARE * (now - began):
            seen = tuple(decode_frame(pipe, frame, clean=True))
            spent += time.monotonic() - now
        return seen

    def hand_over(pipe: Any, index: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal step
        if stop.is_set() or closed.is_set():
            raise _Stopped
        latents = tensors["latents"]
        step = replace(step, index=index + 1, total=pipe.num_timesteps)
        if latents.ndim == 4:
            if index + 1 == pipe.num_timesteps:
                recorder.close(latents)
            film = Film(tuple(recorder.frames), decoder)
            step = replace(step, latents=_to_array(latents), beliefs=look(pipe), film=film)
        steps.put(step)
        return {}

    arguments = {
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "num_inference_steps": request.num_inference_steps,
        "guidance_scale": request.guidance_scale,
        "num_images_per_prompt": len(seeds),
        "generator": [torch.Generator("cpu").manual_seed(seed) for seed in seeds],
        "callback_on_step_end": hand_over,
        **inputs,
    }
    drawing = _THREADS.submit(own, **arguments)
    drawing.add_done_callback(lambda _: steps.put(None))
    try:
        yield from iter(steps.get, None)
    finally:
        closed.set()
        wait([drawing])
    if not isinstance(drawing.exception(), _Stopped):
        answer = drawing.result()
        flags = getattr(answer, "nsfw_content_detected", None)
        yield replace(
            step,
            images=tuple(answer.images),
            withheld=tuple(map(bool, flags or [False] * len(seeds))),
        )


def borrow_pipeline(pipeline: Any, scheduler: str = OWN) -> Any:
    """Return a pipeline on the same networks, with all else that a call changes its own.

    A call keeps its settings on the pipeline and counts steps in the scheduler, and tokenizers
    switch their padding. The constructor is not run again: it would forget the progress bar's
    settings and repeat its warnings.

    Raises:
        InvalidRequest: The scheduler does not suit the model.
    """
    import torch

    own = copy.copy(pipeline)
    for name, part in pipeline.components.items():
        if not isinstance(part, torch.nn.Module) and name != "scheduler":
            setattr(own, name, copy.deepcopy(part))
    own.scheduler = make_scheduler(pipeline, scheduler)
    return own


def read_prompt(tokenizer: Any, prompt: str) -> tuple[Word, ...]:
    """Split ``prompt`` into the words that ``tokenizer`` sees, as it was written.

    It must not be in use elsewhere: a call switches its padding.
    """
    encoding = tokenizer(prompt, add_special_tokens=False, verbose=False).encodings[0]
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    ids: Sequence[int | None] = encoding.word_ids
    # Tokenizers of the SentencePiece kind do not split at words first.
    if len(set(ids)) < 2 and len(prompt.split()) > 1:
        ids = range(len(encoding))
    tokens = zip(ids, encoding.offsets, range(len(encoding)), strict=True)
    words = []
    for _, group in groupby(tokens, key=lambda token: token[0]):
        pieces = list(group)
        (_, (start, _), _), (_, (_, end), last) = pieces[0], pieces[-1]
        words.append(Word(prompt[start:end], len(pieces), last < room))
    return tuple(words)


def decode_frame(pipeline: Any, frame: Frame, *, clean: bool = False) -> list[Image]:
    """Decode the pictures of a frame with the model's own decoder.

    Args:
        pipeline: The one that drew it.
        frame: Of a film.
        clean: Decode what the network believed in, instead of what it looked at.
    """
    import torch

    vae = pipeline.vae
    latents = torch.from_numpy(frame.clean if clean else frame.latents)
    with torch.inference_mode():
        decoded = vae.decode(to_vae(vae, latents.to(vae.device, vae.dtype)), return_dict=False)[0]
    return pipeline.image_processor.postprocess(decoded)


class _Recorder:
    """Listens to a scheduler: keeps what each step looked at, and what it made of it."""

    def __init__(self, scheduler: Any) -> None:
        self.frames: list[Frame] = []
        take_step = scheduler.step

        @functools.wraps(take_step)  # pipelines look at its signature
        def step(output: Any, timestep: Any, latents: Any, *args: Any, **kwargs: Any) -> Any:
            if latents.ndim == 4:
                mix = mix_at(scheduler, timestep, _find_index(scheduler, timestep))
                clean = predict_clean(scheduler, output, latents, mix)
                self._keep(latents / mix.scale, clean, mix, float(timestep))
            return take_step(output, timestep, latents, *args, **kwargs)

        scheduler.step = step

    def close(self, latents: torch.Tensor) -> None:
        """Keep the end."""
        self._keep(latents, latents, CLEAN, 0.0)

    def _keep(self, latents: torch.Tensor, clean: torch.Tensor, mix: Mix, timestep: float) -> None:
        one = latents[0].numel() * 2 * np.float16().nbytes * MAX_STEPS
        count = max(1, MAX_FILM_BYTES // one)
        noisy, belief = (_to_array(part[:count]).astype(np.float16) for part in (latents, clean))
        self.frames.append(Frame(noisy, belief, mix.share, timestep))


def _find_index(scheduler: Any, timestep: Any) -> int:
    """Which step of the schedule is about to be taken; schedulers without a count need none."""
    for name in ("step_index", "begin_index"):
        index = getattr(scheduler, name, None)
        if index is not None:
            return int(index)
    return int(scheduler.index_for_timestep(timestep)) if hasattr(scheduler, "sigmas") else 0


def _tame(latents: np.ndarray) -> np.ndarray:
    """Scale each picture's latents down where they are louder than clean ones, as Euler's are."""
    return latents / latents.std(axis=(1, 2, 3), keepdims=True).clip(min=1)


def _to_array(latents: torch.Tensor) -> np.ndarray:
    return latents.detach().float().cpu().numpy()
