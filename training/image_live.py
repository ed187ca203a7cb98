"""What is shown of a training of image/critters: twelve prompts, drawn again and again."""

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
    """Return a report that draws ``PROMPTS`` from fixed noise, scores that and hands models out.

    Args:
        arguments: Of the script: ``seed`` is the noise's, too.
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

    def look(images: Tensor) -> Mapping[str, float]:
        return {"following": round(100 * measure_wishes(judge(model, images)[1]), 1)}

    return LiveReport(arguments, pipeline, draw_prompts, load, look=look, save=save_pipeline)


def measure_wishes(answers: Mapping[str, Tensor]) -> float:
    """Return the share of what ``PROMPTS`` ask for that is in their pictures, 0 to 1.

    Args:
        answers: Attribute -> (12,) the values that the classifier sees.
    """
    hits = [
        VALUES[name][int(answers[name][index])] == word
        for index, words in enumerate(PROMPTS.values())
        for name, word in words.items()
    ]
    return sum(hits) / len(hits)


def save_pipeline(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write a copy of ``pipeline`` as it is now."""
    parts = {"unet": pipeline.unet, "text_encoder": pipeline.text_encoder}
    export_pipeline(folder, pipeline.vae, nn.ModuleDict(parts), pipeline.tokenizer)
