"""Pictures between two sentences, or between the noises of three seeds. No Gradio here."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from threading import Event
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from demos.image.generate import DiffusionRequest, Prompt, Word, borrow_pipeline, run_pipeline
from shared.errors import InvalidRequest
from shared.requests import MAX_SEED

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

    # Frames, by their numbers -> what the pipeline's call gets for them.
    Inputs = Callable[[Sequence[int]], dict[str, Any]]

# Frames are drawn together as long as their latents have no more places than this.
MOST_PLACES, MOST_TOGETHER = 1024, 8
What = Literal["words", "noise"]
Way = Literal["spherical", "linear"]


class BetweenRequest(DiffusionRequest):
    """An animation.

    Attributes:
        what: ``words`` goes from ``prompt`` to ``second_prompt`` with one noise, ``noise`` from
            the noise of ``seed`` in a loop by those of the two seeds after it.
        second_prompt: Where ``words`` ends.
        frames: Pictures in all.
        distance: How much of the way to the other seeds ``noise`` goes before it turns, 0 to 1.
        way: Between noises: around, or straight.
    """

    what: What = "noise"
    second_prompt: Prompt = Field("", validate_default=True)
    frames: int = Field(24, ge=8, le=48)
    distance: float = Field(1.0, ge=0.05, le=1.0)
    way: Way = "spherical"

    @field_validator("second_prompt")
    @classmethod
    def _is_needed(cls, prompt: str, info: ValidationInfo) -> str:
        if info.data.get("what") == "words" and not prompt:
            raise ValueError("is empty. Write a few words first")
        return prompt

    @property
    def unused(self) -> frozenset[str]:
        """What belongs to the other kind of animation."""
        return frozenset({"second_prompt"} if self.what == "noise" else {"distance", "way"})

    @property
    def seeds(self) -> tuple[int, ...]:
        """Where the road passes, if it is one of noises."""
        count = 1 if self.what == "words" else 3
        return tuple((self.seed + number) % (MAX_SEED + 1) for number in range(count))

    @property
    def stops(self) -> dict[int, str]:
        """The frames that are drawn alone, as the room's first tab would, and their names."""
        if self.what == "words":
            return {0: "first words", self.frames - 1: "second words"}
        names = [f"seed {self.seed}"]
        names += [
            f"seed {seed}" if self.distance == 1 else f"{self.distance:.0%} towards seed {seed}"
            for seed in self.seeds[1:]
        ]
        return {round(leg * self.frames / 3): name for leg, name in enumerate(names)}


@dataclass(frozen=True)
class BetweenStep:
    """The animation after one more denoising step.

    Attributes:
        request: What was asked for.
        frames: In order; finished, or what can be seen of them so far, or None.
        finished: Which are.
        seconds_left: An estimate; None before there is one.
        words: How the first prompt was read.
        withheld: Frames that a safety checker found unfit to show; they are black.
    """

    request: BetweenRequest
    frames: tuple[Image | None, ...]
    finished: frozenset[int] = frozenset()
    seconds_left: float | None = None
    words: tuple[Word, ...] = ()
    withheld: frozenset[int] = frozenset()

    @property
    def is_done(self) -> bool:
        """Whether all frames are finished."""
        return len(self.finished) == len(self.frames)


def generate_between(pipeline: Any, request: BetweenRequest, stop: Event) -> Iterator[BetweenStep]:
    """Draw the frames: first those it passes at its stops, each alone, then the rest in batches.

    A frame at a stop is the very picture that its prompt and seed give elsewhere in the room. In a
    batch, numbers are added up in another order, which may change a colour by an unseen amount.

    Args:
        pipeline: A text-to-image pipeline of diffusers. It is not changed.
        request: What to draw; its seed must be drawn.
        stop: Ends it within a denoising step.

    Raises:
        InvalidRequest: The model does not take what must be mixed, or the scheduler does not suit.
        Exception: Whatever the pipeline raises.
    """
    own = borrow_pipeline(pipeline, request.scheduler)
    shape = find_noise_shape(own)
    mix = _mix_words(own, request) if request.what == "words" else _mix_noise(own, request)
    together = max(1, min(MOST_TOGETHER, MOST_PLACES // (shape[1] * shape[2])))
    batches = plan_batches(request, together)
    step = BetweenStep(request, (None,) * request.frames)
    yield step
    start, work = time.perf_counter(), 0.0
    for batch in batches:
        if stop.is_set():
            return
        fresh = borrow_pipeline(pipeline, request.scheduler)
        seeds = [request.seed] * len(batch)
        for one in run_pipeline(fresh, request, stop, seeds=seeds, **mix(batch)):
            done = work + len(batch) * one.index / one.total
            frames = list(step.frames)
            for number, picture in zip(batch, one.pictures, strict=False):
                frames[number] = picture
            step = replace(
                step,
                frames=tuple(frames),
                finished=step.finished | set(batch if one.images else ()),
                seconds_left=(time.perf_counter() - start) * (request.frames / done - 1),
                words=one.words,
                withheld=step.withheld
                | {number for number, is_bad in zip(batch, one.withheld, strict=False) if is_bad},
            )
            yield step
        work += len(batch)


def plan_batches(request: BetweenRequest, together: int) -> list[list[int]]:
    """Return the numbers of the frames as they are drawn: stops alone, then the rest."""
    rest = [number for number in range(request.frames) if number not in request.stops]
    return [
        *([number] for number in request.stops),
        *(rest[first : first + together] for first in range(0, len(rest), together)),
    ]


def find_noise_shape(pipeline: Any) -> tuple[int, int, int]:
    """Return channels, height and width of the noise that ``pipeline`` starts from.

    Raises:
        InvalidRequest: Its latents are not laid out as a picture.
    """
    config = find_denoiser(pipeline).config
    side = config.get("sample_size")
    height, width = side if isinstance(side, list | tuple) else (side, side)
    takes = inspect.signature(pipeline.__call__).parameters
    # Latents that are packed into a row have another scaling factor, as in Flux.
    if "latents" not in takes or hasattr(pipeline, "_pack_latents") or not height:
        raise InvalidRequest(
            "This model takes no noise from outside, so there is nothing to turn. Choose another "
            "model for this, such as Critters."
        )
    return config.in_channels, height, width


def find_denoiser(pipeline: Any) -> Any:
    """Return the network that takes noise away."""
    return getattr(pipeline, "unet", None) or pipeline.transformer


def draw_noise(pipeline: Any, seed: int) -> torch.Tensor:
    """Draw the noise, (1, C, H, W), that ``pipeline`` itself starts from with this seed."""
    import torch
    from diffusers.utils.torch_utils import randn_tensor

    return randn_tensor(
        (1, *find_noise_shape(pipeline)),
        generator=torch.Generator("cpu").manual_seed(seed),
        device=pipeline._execution_device,
        dtype=find_denoiser(pipeline).dtype,
    )


def turn(start: torch.Tensor, end: torch.Tensor, position: float, way: Way) -> torch.Tensor:
    """Return the noise at ``position`` (0 to 1) between two; both ends are exact.

    The way around is Shoemake's slerp (1985, "Animating rotation with quaternion curves"), as
    White (2016, https://arxiv.org/abs/1609.04468) uses it on latents. It keeps the variance. Two
    noises are nearly at right angles, so that straight between them it falls to a half.

    Args:
        start: Any shape.
        end: As ``start``.
        position: 0 is ``start``, 1 is ``end``.
        way: ``linear`` is straight.
    """
    import torch

    if position in (0, 1):
        return (end if position else start).clone()
    first, second = start.double(), end.double()
    cosine = (first * second).sum() / (first.norm() * second.norm())
    angle = torch.arccos(cosine.clamp(-1, 1))
    if way == "linear" or torch.sin(angle) < 1e-6:  # the same noise, or its opposite
        return torch.lerp(first, second, position).to(start)
    shares = torch.sin((1 - position) * angle), torch.sin(position * angle)
    return ((shares[0] * first + shares[1] * second) / torch.sin(angle)).to(start)


def _mix_noise(own: Any, request: BetweenRequest) -> Inputs:
    """A loop from the first seed's noise towards the second's and the third's, and back."""
    import torch

    first, *others = (draw_noise(own, seed) for seed in request.seeds)
    corners = [first, *(turn(first, noise, request.distance, request.way) for noise in others)]
    starts = [*request.stops, request.frames]

    def mix(numbers: Sequence[int]) -> dict[str, Any]:
        noises = []
        for number in numbers:
            leg = sum(start <= number for start in starts) - 1
            position = (number - starts[leg]) / (starts[leg + 1] - starts[leg])
            noises.append(turn(corners[leg], corners[(leg + 1) % 3], position, request.way))
        return {"latents": torch.cat(noises)}

    return mix


def _mix_words(own: Any, request: BetweenRequest) -> Inputs:
    """A straight line between what the text encoder makes of two prompts, with one noise."""
    import torch

    noise = draw_noise(own, request.seed)
    first, without = encode_prompt(own, request.prompt, request)
    second, _ = encode_prompt(own, request.second_prompt, request)

    def mix(numbers: Sequence[int]) -> dict[str, Any]:
        count = len(numbers)
        shares = torch.tensor(numbers).to(first) / (request.frames - 1)
        return {
            "prompt": None,
            "negative_prompt": None,
            "prompt_embeds": torch.lerp(first, second, shares[:, None, None]),
            "negative_prompt_embeds": None if without is None else without.repeat(count, 1, 1),
            "num_images_per_prompt": 1,
            "latents": noise.repeat(count, 1, 1, 1),
        }

    return mix


def encode_prompt(
    own: Any, prompt: str, request: DiffusionRequest
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Return what the text encoder makes of ``prompt`` and, with guidance, of the negative one.

    Returns:
        Both (1, T, C).

    Raises:
        InvalidRequest: This kind of pipeline does not take prompts in that form.
    """
    import torch

    takes = inspect.signature(own.__call__).parameters
    encoded: Any = ()
    if {"prompt_embeds", "negative_prompt_embeds"} <= set(takes) and hasattr(own, "encode_prompt"):
        with torch.no_grad():
            encoded = own.encode_prompt(
                prompt=prompt,
                device=own._execution_device,
                num_images_per_prompt=1,
                do_classifier_free_guidance=request.guidance_scale > 1,
                negative_prompt=request.negative_prompt,
            )
    if len(encoded) != 2:
        raise InvalidRequest(
            "The words of this model cannot be mixed: it reads them with more than one network. "
            "Change the noise instead, or choose another model, such as Critters."
        )
    return encoded
