"""Schedulers: what they plan, and that what the network believes in is worked out rightly."""

from __future__ import annotations

from itertools import pairwise
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler

from demos.image.generate import ImageRequest, ImageStep, generate_image
from demos.image.noise import (
    CLEAN,
    SCHEDULERS,
    Mix,
    make_scheduler,
    mix_at,
    noise_curve,
    predict_clean,
)
from shared.errors import InvalidRequest

NAMES = sorted(SCHEDULERS)


def draw(pipeline: Any, **values: Any) -> ImageStep:
    request = ImageRequest.parse(**{"num_inference_steps": 4, "seed": 1, **values})
    *_, last = generate_image(pipeline, request, Event())
    return last


@pytest.mark.parametrize("name", NAMES)
def test_a_plan_begins_noisy_never_rises_and_ends_clean(tiny_pipeline: Any, name: str) -> None:
    curve = noise_curve(tiny_pipeline, name, 6)
    assert len(curve) == 7
    assert curve[0] > 0.9
    assert curve[-1] == 0
    assert all(later <= earlier for earlier, later in pairwise(curve))


@pytest.mark.parametrize("name", NAMES)
def test_noise_added_by_a_scheduler_is_found_again(tiny_pipeline: Any, name: str) -> None:
    scheduler = make_scheduler(tiny_pipeline, name)
    scheduler.set_timesteps(5)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    for index, timestep in enumerate(scheduler.timesteps):
        mix = mix_at(scheduler, timestep, index)
        noisy = scheduler.add_noise(clean, noise, timestep[None])
        assert torch.allclose(noisy, mix.picture * clean + mix.noise * noise, atol=2e-3)
        believed = predict_clean(scheduler, noise, noisy, mix)  # it predicts the noise itself
        assert torch.allclose(believed, clean, atol=0.02)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_network_is_believed_whatever_it_predicts(kind: str) -> None:
    scheduler = DDIMScheduler(prediction_type=kind)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    time = torch.tensor([400])
    noisy = scheduler.add_noise(clean, noise, time)
    answers = {
        "epsilon": noise,
        "sample": clean,
        "v_prediction": scheduler.get_velocity(clean, noise, time),
    }
    mix = mix_at(scheduler, 400, 0)
    assert torch.allclose(predict_clean(scheduler, answers[kind], noisy, mix), clean, atol=1e-4)


def test_flows_are_believed_too() -> None:
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(4)
    clean, noise = torch.randn(2, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    mix = mix_at(scheduler, scheduler.timesteps[2], 2)
    noisy = mix.picture * clean + mix.noise * noise
    assert mix.picture + mix.noise == pytest.approx(1)
    assert torch.allclose(predict_clean(scheduler, noise - clean, noisy, mix), clean, atol=1e-5)


def test_a_scheduler_that_does_not_suit_a_flow_is_named(tiny_pipeline: Any) -> None:
    class Flow:
        scheduler = FlowMatchEulerDiscreteScheduler()

    with pytest.raises(InvalidRequest, match=r"DDIM cannot be used.*Euler"):
        make_scheduler(Flow(), "ddim")
    assert type(make_scheduler(Flow(), "dpm++")).__name__ == "DPMSolverMultistepScheduler"
    with pytest.raises(InvalidRequest, match="no scheduler 'magic'"):
        make_scheduler(tiny_pipeline, "magic")


@pytest.mark.parametrize("name", NAMES)
def test_the_film_starts_in_noise_and_ends_with_the_picture(tiny_pipeline: Any, name: str) -> None:
    last = draw(tiny_pipeline, scheduler=name)
    frames = last.film.frames
    assert len(frames) == 5
    assert frames[0].noise > 0.9
    assert frames[-1].noise == 0
    assert np.array_equal(frames[-1].latents, frames[-1].clean)
    assert float(frames[0].latents.std()) == pytest.approx(1, abs=0.2)  # whatever Euler scales to


def test_mixes_know_their_share() -> None:
    assert CLEAN.share == 0
    assert Mix(0.0, 5.0).share == 1
    assert Mix(3.0, 4.0).scale == 5
