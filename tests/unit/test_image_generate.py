"""Drawing a picture: a stock pipeline with tiny networks, but all its genuine parts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from demos.image.generate import ImageRequest, ImageStep, generate_image, read_prompt
from shared.errors import InvalidRequest
from training.captions import build_tokenizer


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """A Stable Diffusion with random weights: 16 x 16 pixels, 8 x 8 latents."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    width = 8
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL(
            block_out_channels=(width, width),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
        ),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=width,
                intermediate_size=width,
                num_hidden_layers=1,
                num_attention_heads=1,
                max_position_embeddings=tokenizer.model_max_length,
            )
        ),
        tokenizer=tokenizer,
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(width, width),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            layers_per_block=1,
            norm_num_groups=4,
            attention_head_dim=1,
            cross_attention_dim=width,
        ),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(autouse=True)
def no_thread_stays_behind() -> Iterator[None]:
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("image")]


def draw(pipeline: Any, **values: Any) -> list[ImageStep]:
    request = ImageRequest.parse(**{"num_inference_steps": 3, "seed": 1, **values})
    return list(generate_image(pipeline, request, Event()))


def pixels(steps: list[ImageStep]) -> bytes:
    assert steps[-1].image
    return steps[-1].image.tobytes()


def test_every_step_shows_a_preview_and_the_last_brings_the_picture(pipeline: Any) -> None:
    steps = draw(pipeline)
    assert [step.index for step in steps] == [1, 2, 3, 3]
    assert [len(step.previews) for step in steps] == [1, 2, 3, 3]
    assert [step.image is not None for step in steps] == [False, False, False, True]
    assert steps[-1].picture is steps[-1].image
    assert {step.picture.size for step in steps if step.picture} == {(16, 16)}


def test_same_seed_same_picture_and_another_seed_another(pipeline: Any) -> None:
    first = pixels(draw(pipeline, seed=5))
    assert first == pixels(draw(pipeline, seed=5))
    assert first != pixels(draw(pipeline, seed=6))


def test_it_draws_what_the_stock_pipeline_draws(pipeline: Any) -> None:
    rng = torch.Generator().manual_seed(1)
    stock = pipeline("a red beast", num_inference_steps=3, guidance_scale=2.0, generator=rng)
    assert pixels(draw(pipeline, prompt="a red beast", guidance_scale=2)) == (
        stock.images[0].tobytes()
    )


def test_visitors_at_the_same_time_do_not_disturb_each_other(pipeline: Any) -> None:
    wishes = [
        {"seed": seed, "guidance_scale": guidance, "num_inference_steps": steps}
        for seed, guidance, steps in [(1, 0, 2), (2, 5, 6), (3, 9, 4)]
    ]
    alone = [pixels(draw(pipeline, **wish)) for wish in wishes]
    with ThreadPoolExecutor() as visitors:
        together = visitors.map(lambda wish: pixels(draw(pipeline, **wish)), wishes)
    assert alone == list(together)


def test_stop_ends_it_within_a_step(pipeline: Any) -> None:
    stop = Event()
    seen = []
    for step in generate_image(pipeline, ImageRequest.parse(num_inference_steps=50), stop):
        seen.append(step)
        stop.set()
    assert seen[-1].index < 50
    assert seen[-1].image is None


def test_closing_it_ends_the_thread(pipeline: Any) -> None:
    request = ImageRequest.parse(num_inference_steps=50)
    steps: Any = generate_image(pipeline, request, Event())
    next(steps)
    assert any(thread.name.startswith("image") for thread in threading.enumerate())
    steps.close()  # the fixture sees that the thread is gone


def test_errors_of_the_pipeline_come_out(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(pipeline.unet, "forward", fail)
    with pytest.raises(MemoryError, match="no room"):
        draw(pipeline)


def test_large_pictures_get_small_previews(pipeline: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.unet.config, "sample_size", 64, raising=False)
    last = draw(pipeline, num_inference_steps=1)[-1]
    assert last.image
    assert last.image.size == (128, 128)
    assert last.previews[0].size == (32, 32)


def test_words_are_found_again_in_the_prompt(pipeline: Any) -> None:
    words = read_prompt(pipeline.tokenizer, "A green Dragon" + " smile" * 40)
    assert [word.text for word in words[:4]] == ["A", "green", "Dragon", "smile"]
    assert [word.pieces > 1 for word in words[:4]] == [False, False, True, False]
    assert words[0].is_read
    assert not words[-1].is_read


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "  "}, "The prompt is empty"),
        ({"prompt": "x" * 1001}, "The prompt is too long"),
        ({"num_inference_steps": 51}, "num inference steps must be at most 50"),
        ({"guidance_scale": -1}, "guidance scale must be at least 0"),
        ({"negative_prompt": "x" * 1001}, "The negative prompt is too long"),
    ],
)
def test_bad_values_name_the_field(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        ImageRequest.parse(**values)
