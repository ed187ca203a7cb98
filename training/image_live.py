"""Live reports of a training of image/critters: samples of twelve prompts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor, nn

from shared.critters.attributes import VALUES
from shared.critters.captions import Caption
from shared.critters.live_prompts import PROMPTS
from shared.nets.judge import judge
from training.critter_classifier import load_judge
from training.evaluate_image import GUIDANCE, STEPS, draw
from training.image_nets import export_pipeline
from training.live import LiveReport


def report_live(
    arguments: argparse.Namespace, pipeline: StableDiffusionPipeline, device: torch.device
) -> LiveReport[StableDiffusionPipeline]:
    """Return a report that draws ``PROMPTS`` from fixed noise, scores them and exports models.

    Args:
        arguments: Of the script; ``seed`` is also that of the noise.
        pipeline: What is trained.
        device: For the model of ``--compare``.
    """
    model = load_judge()
    captions = [Caption(text, frozenset(words)) for text, words in PROMPTS.items()]

    def draw_prompts(pipeline: StableDiffusionPipeline) -> Tensor:
        noise = torch.Generator().manual_seed(arguments.seed)
        return draw(pipeline, captions, noise, steps=STEPS, guidance=GUIDANCE)

    def load(folder: Path) -> StableDiffusionPipeline:
        bundled = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
        bundled.set_progress_bar_config(disable=True)
        return bundled.to(device)

    def score_sample(images: Tensor) -> Mapping[str, float]:
        return {"following": round(100 * measure_fulfilled(judge(model, images)[1]), 1)}

    return LiveReport(
        arguments, pipeline, draw_prompts, load, score_sample=score_sample, save=save_pipeline
    )


def measure_fulfilled(answers: Mapping[str, Tensor]) -> float:
    """Return the share of the attributes in ``PROMPTS`` that their pictures show, 0 to 1.

    Args:
        answers: Attribute -> (12,) the classifier's answers.
    """
    hits = [
        VALUES[name][int(answers[name][index])] == word
        for index, words in enumerate(PROMPTS.values())
        for name, word in words.items()
    ]
    return sum(hits) / len(hits)


def save_pipeline(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write the current weights of ``pipeline``."""
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    export_pipeline(folder, pipeline.vae, nn.ModuleDict(parts), pipeline.tokenizer)
