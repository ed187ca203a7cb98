"""Measure how well image/critters follows its prompts, with a classifier.

    python -m training.evaluate_image [--count 1000] [--json]
    python -m training.evaluate_image --out models/image-critters/evaluation.json

The classifier (``training/critter_classifier.py``) has never seen a generated picture. Captions
come from the grammar of training, in unambiguous words: half name pairs of attributes that are in
the training set, half name one or two of the held-out pairs. ``oracle_acc`` is the accuracy of the
classifier on new renders, which limits the precision of all other figures.

* ``attr_acc_seen``, ``attr_acc_heldout``: share of the captions' attributes that the pictures show,
  at the gallery's own steps and guidance.
* ``fewstep_share``: the same score of the same captions, over that of ``FULL_STEPS`` steps.
* ``diversity``: how often two seeds differ in an attribute that the caption leaves open, over how
  often two new draws of the data differ.
* ``near_copy_ratio``: how often a picture is as near to a training picture as the nearest share
  ``NEAR`` of new renders, over that share; 1 means no memorisation.
* ``worlds``: the first three figures for each other world that the model draws, with that world's
  classifier, from half as many captions. All figures above are of critters.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from torch import Tensor
from tqdm import tqdm

from shared.catalog import SPECS
from shared.critters.attributes import CRITTERS, VALUES, render_critter
from shared.critters.captions import Caption, write_caption
from shared.critters.picture_metrics import nearest_distances, to_model_range
from shared.critters.vocabulary import read_worlds
from shared.critters.world import World
from shared.critters.worlds import WORLDS
from shared.nets.judge import judge
from shared.settings import ROOT
from training.common import describe_hardware, flatten
from training.critter_classifier import FOLDERS, load_judge
from training.pictures import load_critters

DEFAULTS = next(spec for spec in SPECS if spec.key == "image/critters").defaults
STEPS = int(DEFAULTS["num_inference_steps"])
GUIDANCE = float(DEFAULTS["guidance_scale"])
FULL_STEPS = 50
TRAINING_PICTURES = 50_000
NEAR = 0.05
BATCH = 50


@dataclass(frozen=True)
class PromptFollowing:
    """Pictures, and which attributes of their captions they show.

    Attributes:
        images: (N, 3, 64, 64) in [-1, 1].
        answers: Attribute -> (N,) the classifier's answers.
        right: Attribute -> whether the answer is right, for each caption that names it.
    """

    images: Tensor
    answers: dict[str, Tensor]
    right: dict[str, list[bool]]

    @property
    def scores(self) -> dict[str, float]:
        """Attribute -> share of right answers."""
        return {name: round(float(np.mean(hits)), 4) for name, hits in self.right.items() if hits}

    @property
    def overall(self) -> float:
        """Share of right answers over all attributes."""
        return float(np.mean([hit for hits in self.right.values() for hit in hits]))


def measure_following(
    pipeline: StableDiffusionPipeline,
    words: Sequence[Mapping[str, str]],
    world: World = CRITTERS,
    *,
    steps: int = STEPS,
    guidance: float = GUIDANCE,
    drop: float = 0.0,
    seed: int = 0,
) -> PromptFollowing:
    """Generate a picture for a caption of each of ``words`` and classify it.

    Args:
        pipeline: Its state does not change.
        words: Attribute -> value, for each picture.
        world: The world of these attributes.
        steps: Denoising steps.
        guidance: Guidance scale.
        drop: Probability that a caption leaves an attribute open.
        seed: Of the noise; captions do not depend on it.
    """
    rng = random.Random(0)
    captions = [write_caption(one, rng, world.grammar, drop=drop, clear=True) for one in words]
    noise = torch.Generator().manual_seed(seed)
    images = draw(pipeline, captions, noise, steps=steps, guidance=guidance)
    _, answers = judge(load_judge(FOLDERS[world.name]), images)
    values = world.values
    right: dict[str, list[bool]] = {name: [] for name in values}
    for index, (one, caption) in enumerate(zip(words, captions, strict=True)):
        for name in caption.named:
            right[name].append(values[name][int(answers[name][index])] == one[name])
    return PromptFollowing(images, answers, right)


@torch.inference_mode()
def draw(
    pipeline: StableDiffusionPipeline,
    captions: Sequence[Caption],
    noise: torch.Generator,
    *,
    steps: int,
    guidance: float,
) -> Tensor:
    """Draw one picture for each caption: (N, 3, 64, 64) in [-1, 1]."""
    parts = []
    for start in tqdm(range(0, len(captions), BATCH), unit="batch", mininterval=5, leave=False):
        part = [caption.text for caption in captions[start : start + BATCH]]
        parts.append(
            pipeline(
                part,
                num_inference_steps=steps,
                guidance_scale=guidance,
                generator=noise,
                output_type="pt",
            ).images.cpu()
        )
    return torch.cat(parts) * 2 - 1


def choose_words(
    count: int, world: World = CRITTERS, *, held_out: bool, seed: int
) -> list[dict[str, str]]:
    """Draw the attributes of ``count`` pictures with, or without, a held-out pair."""
    attributes = world.sample(8 * count, np.random.default_rng(seed))
    chosen = np.flatnonzero((world.count_held_out(attributes) > 0) == held_out)[:count]
    return [world.describe(attributes, row) for row in chosen]


def measure_oracle(count: int, world: World = CRITTERS) -> float:
    """Return the accuracy of the classifier on new renders, over all attributes."""
    rows = choose_words(count, world, held_out=False, seed=21)
    rows += choose_words(count, world, held_out=True, seed=22)
    images = to_model_range(np.stack([world.render(words) for words in rows]))
    _, answers = judge(load_judge(FOLDERS[world.name]), images)
    attributes = {
        name: np.array([values.index(words[name]) for words in rows])
        for name, values in world.values.items()
    }
    hits = [
        (answers[name].numpy() == column)[world.shows(name, attributes)]
        for name, column in attributes.items()
    ]
    return float(np.concatenate(hits).mean())


def measure_diversity(pipeline: StableDiffusionPipeline, count: int) -> float:
    """Return how often two seeds differ in attributes that captions leave open, over chance."""
    words = choose_words(count, held_out=False, seed=23)
    one, other = (measure_following(pipeline, words, drop=0.5, seed=seed) for seed in (1, 2))
    rng = random.Random(0)
    differ, chance = [], []
    for index, attributes in enumerate(words):
        caption = write_caption(attributes, rng, CRITTERS.grammar, drop=0.5, clear=True)
        for name in VALUES.keys() - caption.named - {"accent"}:
            differ.append(bool(one.answers[name][index] != other.answers[name][index]))
            chance.append(1 - 1 / len(VALUES[name]))
    return float(np.mean(differ) / np.mean(chance))


def measure_near_copies(images: Tensor, words: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """Compare how near ``images`` and new renders of the same ``words`` are to training pictures.

    Distances are Euclidean, in the classifier's features.
    """
    model = load_judge()
    seen = load_critters(TRAINING_PICTURES).without_held_out()
    known, _ = judge(model, to_model_range(seen.images))
    fresh_images = to_model_range(np.stack([render_critter(one) for one in words]))
    drawn, fresh = (
        nearest_distances(judge(model, pictures)[0], known) for pictures in (images, fresh_images)
    )
    near = torch.quantile(fresh, NEAR)
    return {
        "near_copy_ratio": float((drawn <= near).float().mean() / NEAR),
        "nearest_drawn": float(drawn.median()),
        "nearest_fresh": float(fresh.median()),
    }


def measure_world(pipeline: StableDiffusionPipeline, world: World, count: int) -> dict[str, Any]:
    """Measure how well captions of one of the other worlds are followed."""
    seen, held_out = (
        measure_following(pipeline, choose_words(count, world, held_out=unseen, seed=seed), world)
        for unseen, seed in ((False, 11), (True, 12))
    )
    return {
        "oracle_acc": round(measure_oracle(count, world), 4),
        "attr_acc_seen": round(seen.overall, 4),
        "attr_acc_heldout": round(held_out.overall, 4),
        "seen": seen.scores,
        "held_out": held_out.scores,
        "captions": count,
    }


def evaluate(folder: Path, count: int) -> dict[str, Any]:
    """Measure everything; ``count`` captions of each kind."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    others = [WORLDS[name] for name in read_worlds(folder) if name != CRITTERS.name]
    seen_words = choose_words(count, held_out=False, seed=11)
    seen = measure_following(pipeline, seen_words)
    held_out = measure_following(pipeline, choose_words(count, held_out=True, seed=12))
    some = seen_words[: max(1, count // 4)]
    few = measure_following(pipeline, some)
    full = measure_following(pipeline, some, steps=FULL_STEPS)
    return {
        "oracle_acc": round(measure_oracle(count), 4),
        "attr_acc_seen": round(seen.overall, 4),
        "attr_acc_heldout": round(held_out.overall, 4),
        # An untrained model may score 0: the share is 0 then.
        "fewstep_share": round(few.overall / full.overall, 4) if full.overall else 0.0,
        "diversity": round(measure_diversity(pipeline, max(1, count // 5)), 3),
        **{
            name: round(value, 3)
            for name, value in measure_near_copies(seen.images, seen_words).items()
        },
        "seen": seen.scores,
        "held_out": held_out.scores,
        "worlds": {one.name: measure_world(pipeline, one, count // 2) for one in others},
        "captions": count,
        "steps": STEPS,
        "full_steps": FULL_STEPS,
        "guidance_scale": GUIDANCE,
        "hardware": describe_hardware(torch.device("cpu")),
    }


def main() -> None:
    """Measure and print: all figures, or with ``--json`` the single ones on one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "image-critters")
    parser.add_argument("--count", type=int, default=1_000, help="captions of each kind")
    parser.add_argument("--json", action="store_true", help="print one flat JSON object only")
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    with contextlib.redirect_stdout(sys.stderr):  # huggingface_hub prints what it loads
        figures = evaluate(arguments.model, arguments.count)
    text = json.dumps(figures, indent=2)
    if arguments.out:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    print(json.dumps(flatten(figures)) if arguments.json else text)


if __name__ == "__main__":
    main()
