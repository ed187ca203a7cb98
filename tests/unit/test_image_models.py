"""Bigger models through the same code: tiny ones with random weights, in the genuine formats."""

from __future__ import annotations

from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderDC,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    SanaPipeline,
    SanaTransformer2DModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPImageProcessorPil, Gemma2Config, Gemma2Model

from demos.image.generate import ImageRequest, ImageStep, generate_image
from shared.catalog import Catalog, Placement, load_image_pipeline
from shared.errors import InvalidRequest
from shared.settings import Settings
from training.caption_tokenizer import build_tokenizer

CPU = Placement(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def sana(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Sana: a flow, a linear transformer, a language model that reads."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("sana")
    SanaPipeline(
        tokenizer=build_tokenizer(),
        text_encoder=Gemma2Model(
            Gemma2Config(
                vocab_size=2048,
                hidden_size=8,
                intermediate_size=8,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=1,
                head_dim=4,
            )
        ),
        transformer=SanaTransformer2DModel(
            in_channels=4,
            out_channels=4,
            num_layers=1,
            num_attention_heads=2,
            attention_head_dim=4,
            num_cross_attention_heads=2,
            cross_attention_head_dim=4,
            cross_attention_dim=8,
            caption_channels=8,
            sample_size=16,  # which says that its pictures have about 512 pixels
            patch_size=1,
        ),
        vae=AutoencoderDC(
            latent_channels=4,
            encoder_block_types=("ResBlock", "ResBlock"),
            decoder_block_types=("ResBlock", "ResBlock"),
            encoder_block_out_channels=(8, 8),
            decoder_block_out_channels=(8, 8),
            encoder_layers_per_block=(1, 1),
            decoder_layers_per_block=(1, 1),
            encoder_qkv_multiscales=((), ()),
            decoder_qkv_multiscales=((), ()),
            downsample_block_type="conv",
            upsample_block_type="interpolate",
            decoder_norm_types="rms_norm",
            decoder_act_fns="silu",
            scaling_factor=0.4,
        ),
        scheduler=DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0
        ),
    ).save_pretrained(folder)
    return folder


def draw(pipeline: Any, **values: Any) -> list[ImageStep]:
    request = ImageRequest.parse(
        **{"prompt": "a red monster", "num_inference_steps": 3, "seed": 1, **values}
    )
    return list(generate_image(pipeline, request, Event()))


def test_a_flow_draws_and_is_filmed(sana: Path) -> None:
    catalog = Catalog(Settings(device="cpu", local_models=(("image/tiny-sana", sana),)))
    spec = catalog.get("image/tiny-sana")
    pipeline = spec.load(spec.fetch(catalog.settings, lambda *_: None), CPU)
    *steps, last = draw(pipeline, scheduler="euler")
    assert len(steps) == 3
    assert all(step.previews for step in steps)
    assert [frame.noise for frame in last.film.frames][::3] == [pytest.approx(1, abs=0.01), 0]
    assert [word.text for word in last.words] == ["a", "red", "monster"]
    again = draw(pipeline, scheduler="euler")[-1]
    assert last.images[0].tobytes() == again.images[0].tobytes()
    assert draw(pipeline)[-1].images[0].size == last.images[0].size
    with pytest.raises(InvalidRequest, match="follows a flow"):
        draw(pipeline, scheduler="ddim")


def test_parts_whose_numbers_grow_stay_wide(sana: Path) -> None:
    half = Placement(torch.device("cpu"), torch.float16)
    pipeline = load_image_pipeline(sana, half, wide=("text_encoder", "vae"))
    assert pipeline.transformer.dtype == torch.float16
    assert {pipeline.text_encoder.dtype, pipeline.vae.dtype} == {torch.bfloat16}


def test_one_step_without_guidance_as_turbo_models_draw(tiny_pipeline: Any, tmp_path: Path) -> None:
    tiny_pipeline.save_pretrained(tmp_path)
    pipeline = load_image_pipeline(tmp_path, CPU)
    pipeline.scheduler = EulerDiscreteScheduler.from_config(
        pipeline.scheduler.config, timestep_spacing="trailing"
    )
    last = draw(pipeline, num_inference_steps=1, guidance_scale=0)[-1]
    rng = torch.Generator().manual_seed(1)
    stock = pipeline("a red monster", num_inference_steps=1, guidance_scale=0, generator=rng)
    assert last.images[0].tobytes() == stock.images[0].tobytes()
    assert len(last.film.frames) == 2


def test_what_a_safety_checker_withholds_is_said(tiny_pipeline: Any, tmp_path: Path) -> None:
    size: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    config = CLIPConfig(
        text_config={**size, "num_attention_heads": 1},
        vision_config={**size, "num_attention_heads": 1, "image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    checker = StableDiffusionSafetyChecker(config)
    with torch.no_grad():
        checker.concept_embeds_weights.fill_(-100.0)  # everything is too much for it
    tiny_pipeline.save_pretrained(tmp_path)
    pipeline = load_image_pipeline(tmp_path, CPU)
    pipeline.register_modules(
        safety_checker=checker,
        feature_extractor=CLIPImageProcessorPil(size=16, crop_size=16),
    )
    last = draw(pipeline, num_images=2)[-1]
    assert last.withheld == (True, True)
    assert not np.asarray(last.images[0]).any()
