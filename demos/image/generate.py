"""Text to image by latent diffusion, one denoising step at a time. No Gradio here."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from queue import SimpleQueue
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StringConstraints

from shared.requests import Request

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

# Previews of large pictures are decoded from this many latents a side, so that they stay cheap.
PREVIEW_LATENTS = 16
Prompt = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class ImageRequest(Request):
    """What to draw, and how.

    Attributes:
        prompt: What the picture should show.
        negative_prompt: What it should not show; needs a guidance_scale above 1.
        num_inference_steps: Denoising steps from pure noise to the picture.
        guidance_scale: How far each step is pushed towards the prompt, away from the negative
            prompt (Ho and Salimans 2022, arXiv:2207.12598); up to 1 there is no push.
    """

    prompt: Prompt = Field("a happy blue monster with yellow horns", min_length=1)
    negative_prompt: Prompt = ""
    num_inference_steps: int = Field(12, ge=1, le=50)
    guidance_scale: float = Field(3.0, ge=0.0, le=15.0)


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
class ImageStep:
    """The state after one more denoising step, or the finished picture.

    Attributes:
        index: Steps done, from 1.
        total: Steps in all; more than were asked for with schedulers that go twice.
        words: How the prompt was read.
        previews: The decoded latents after each step so far; empty for a pipeline whose latents
            are not laid out as a picture.
        image: The finished picture, at the model's own resolution, with the last step.
    """

    index: int
    total: int
    words: tuple[Word, ...]
    previews: tuple[Image, ...]
    image: Image | None = None

    @property
    def picture(self) -> Image | None:
        """The finished picture, or the latest preview until there is one."""
        return self.image or (self.previews[-1] if self.previews else None)


class _Stopped(Exception):
    """Leaves the pipeline's denoising loop early."""


def generate_image(pipeline: Any, request: ImageRequest, stop: Event) -> Iterator[ImageStep]:
    """Yield after every denoising step and, with the picture, at the end.

    The stock pipeline draws, in a thread of its own; its callback hands each step over. Noise comes
    from a generator on the CPU, so a seed gives the same picture each time, on any device.
    Setting ``stop`` or closing the iterator ends the thread within one step.

    Args:
        pipeline: A text-to-image pipeline of diffusers. It is not changed; two calls may share it.
        request: What to draw; its seed must be drawn.
        stop: Ends the drawing; no picture comes then.

    Raises:
        Exception: Whatever the pipeline raises.
    """
    import torch

    steps: SimpleQueue[ImageStep | None] = SimpleQueue()
    closed = Event()
    own = _copy_pipeline(pipeline)
    step = ImageStep(0, 0, read_prompt(own.tokenizer, request.prompt), ())

    def hand_over(pipe: Any, index: int, _: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        nonlocal step
        if stop.is_set() or closed.is_set():
            raise _Stopped
        previews = step.previews + _decode_preview(pipe, tensors["latents"])
        step = replace(step, index=index + 1, total=pipe.num_timesteps, previews=previews)
        steps.put(step)
        return {}

    with ThreadPoolExecutor(1, "image") as pool:
        drawing = pool.submit(
            own,
            **request.model_dump(exclude={"seed"}),
            generator=torch.Generator("cpu").manual_seed(request.seed),
            callback_on_step_end=hand_over,
        )
        drawing.add_done_callback(lambda _: steps.put(None))
        try:
            yield from iter(steps.get, None)
        finally:
            closed.set()
    if not isinstance(drawing.exception(), _Stopped):
        yield replace(step, image=drawing.result().images[0])


def read_prompt(tokenizer: Any, prompt: str) -> tuple[Word, ...]:
    """Split ``prompt`` into the words that a CLIP ``tokenizer`` sees, as it was written."""
    backend = copy.deepcopy(tokenizer.backend_tokenizer)
    backend.no_padding()  # a saved tokenizer may remember how it was last called
    backend.no_truncation()
    encoding = backend.encode(prompt, add_special_tokens=False)
    room = tokenizer.model_max_length - tokenizer.num_special_tokens_to_add()
    tokens = zip(encoding.word_ids, encoding.offsets, range(len(encoding)), strict=True)
    words = []
    for _, group in groupby(tokens, key=lambda token: token[0]):
        pieces = list(group)
        (_, (start, _), _), (_, (_, end), last) = pieces[0], pieces[-1]
        words.append(Word(prompt[start:end], len(pieces), last < room))
    return tuple(words)


def _copy_pipeline(pipeline: Any) -> Any:
    """A pipeline on the same networks, with all else that calls change copied.

    A call keeps its settings on the pipeline and counts steps in the scheduler, and tokenizers
    switch their padding. The constructor is not run again: it would forget the progress bar's
    settings and repeat its warnings.
    """
    import torch

    own = copy.copy(pipeline)
    for name, part in pipeline.components.items():
        if not isinstance(part, torch.nn.Module):
            setattr(own, name, copy.deepcopy(part))
    return own


def _decode_preview(pipeline: Any, latents: torch.Tensor) -> tuple[Image, ...]:
    """Decode latents (1, C, H, W) as they are, noise and all; () if they have another shape.

    Of large latents only every n-th in both directions is taken. That keeps the strength of the
    noise, which averaging would lower.
    """
    import torch

    if latents.ndim != 4:
        return ()
    stride = max(1, max(latents.shape[-2:]) // PREVIEW_LATENTS)
    vae = pipeline.vae
    # Schedulers of the Euler kind scale their noise up, far out of the decoder's range.
    latents = latents[..., ::stride, ::stride] / latents.std().clamp(min=1)
    latents = latents / vae.config.scaling_factor + (vae.config.shift_factor or 0)
    with torch.no_grad():
        decoded = vae.decode(latents, return_dict=False)[0]  # (1, 3, h, w) in [-1, 1]
    return (pipeline.image_processor.postprocess(decoded)[0],)
