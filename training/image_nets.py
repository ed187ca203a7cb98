"""The parts of image/critters and how they become a pipeline of diffusers."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from diffusers import (
    AutoencoderTiny,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from shared.critters.captions import MAX_TOKENS

LATENT_CHANNELS = 16
TEXT_WIDTH = 160
UNET_WIDTH = 160
BATCH = 50


def build_autoencoder() -> AutoencoderTiny:
    """Build the autoencoder: (B, 3, 64, 64) pixels in [-1, 1] <-> (B, 16, 8, 8) latents.

    Residual blocks without normalization, which is slow on a CPU, and most of them at the low
    resolutions, where they cost little.

    At first it only blurs: residual branches start at 0, and down- and upsampling copy. Colours
    then appear within a minute; with the usual initialization they take far longer (compare Zhang
    et al. 2019, arXiv:1901.09321).
    """
    vae = AutoencoderTiny(
        encoder_block_out_channels=(48,) * 4,
        decoder_block_out_channels=(48,) * 4,
        num_encoder_blocks=(0, 1, 2, 3),
        num_decoder_blocks=(3, 2, 1, 0),
        latent_channels=LATENT_CHANNELS,
        scaling_factor=1.0,
    )
    for module in vae.modules():
        if isinstance(module, AutoencoderTinyBlock):
            nn.init.zeros_(module.conv[-1].weight)
        elif isinstance(module, nn.Conv2d) and module.bias is None:  # down- and upsampling
            nn.init.dirac_(module.weight)
    # This memory format makes convolutions with few channels several times faster on a CPU.
    return vae.to(memory_format=torch.channels_last)


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the text encoder: (B, T) token ids -> (B, T, TEXT_WIDTH)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet(
    latent_channels: int = LATENT_CHANNELS, width: int = UNET_WIDTH
) -> UNet2DConditionModel:
    """Build the denoiser: noisy (B, C, 8, 8) latents, time and text -> velocity, same shape.

    All its layers are 8 x 8, so it is a U-Net by its skip connections only. The text conditions it
    in two ways: pooled and added to the time embedding, which scales and shifts every block, and
    through cross-attention at each position.
    """
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=(width,),
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        layers_per_block=1,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        time_embedding_dim=256,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )


def build_scheduler() -> DDIMScheduler:
    """Build the noise schedule: the last step is pure noise (Lin et al. 2023, arXiv:2305.08891).

    The network predicts the velocity (Salimans and Ho 2022, arXiv:2202.00512), which is defined
    there too, and sampling starts at the last step.
    """
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=False,
        steps_offset=1,  # the pipeline requires it; trailing spacing ignores it
    )


def to_pixels(images: object, device: torch.device) -> Tensor:
    """Turn (B, H, W, 3) uint8 into (B, 3, H, W) float32 in [-1, 1], channels last in memory."""
    pixels = torch.as_tensor(images, device=device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def encode(vae: AutoencoderTiny, images: object) -> Tensor:
    """Encode (N, 64, 64, 3) uint8 pictures: (N, 16, 8, 8) latents."""
    parts = [
        vae.encode(to_pixels(part, vae.device)).latents
        for part in torch.as_tensor(images).split(BATCH)
    ]
    return torch.cat(parts).contiguous()


@torch.no_grad()
def decode(vae: AutoencoderTiny, latents: Tensor) -> Tensor:
    """Decode (N, 16, 8, 8) latents: (N, 3, 64, 64) in [-1, 1]."""
    parts = [vae.decode(part).sample for part in latents.split(BATCH)]
    return torch.cat(parts).clamp(-1, 1)


def tokenize(tokenizer: CLIPTokenizer, captions: list[str], device: torch.device) -> Tensor:
    """Return (B, MAX_TOKENS) token ids, padded as the pipeline does."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        return_tensors="pt",
    ).input_ids.to(device)


def build_pipeline(
    vae: AutoencoderTiny, denoiser: nn.ModuleDict, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """Put the parts together into a stock pipeline. There is no safety checker: see the card."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser["text_encoder"],
        tokenizer=tokenizer,
        unet=denoiser["unet"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def export_pipeline(
    folder: Path, vae: AutoencoderTiny, denoiser: nn.ModuleDict, tokenizer: CLIPTokenizer
) -> None:
    """Write the pipeline folder, weights as float16: half the size, and no visible difference.

    Weights of an earlier export are removed first, since their files may have other names.
    """
    for old in folder.glob("*/*.safetensors*"):
        old.unlink()
    vae, denoiser = copy.deepcopy(vae).half(), copy.deepcopy(denoiser).half()
    build_pipeline(vae, denoiser, tokenizer).save_pretrained(folder, max_shard_size="9MB")
