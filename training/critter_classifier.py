"""Train the judge: a classifier of the attributes of a critter's picture.

    python -m training.critter_classifier --threads 1 --bfloat16   # 15 minutes
    python -m training.critter_classifier --minutes 2 --out /tmp/judge   # a first look
    python -m training.critter_classifier --world sprouts --out training/judge/sprouts \
        --count 16000 --held-out 1000 --minutes 5

Each world (``shared/critters/worlds.py``) has its own judge.

No model of the gallery is trained with it, since it evaluates their pictures. Its features replace
those of Inception in the Frechet inception distance, and its answers are the attributes of a
generated picture. It is trained on blurred and noisy pictures too, to be robust to the errors of
models.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.critters.picture_metrics import to_model_range
from shared.critters.world import Attributes, World
from shared.critters.worlds import WORLDS
from shared.devices import pick_device
from shared.nets import Judge, JudgeConfig
from shared.nets.judge import judge
from shared.settings import ROOT
from training.common import (
    Budget,
    TrainingRun,
    count_parameters,
    one_cycle,
    parse_arguments,
    set_learning_rate,
)
from training.pictures import Pictures, load_pictures

# World -> folder of its judge.
FOLDERS = {
    "critters": ROOT / "models" / "latent-critters-judge",
    "sprouts": ROOT / "training" / "judge" / "sprouts",
}
UNSEEN = -100  # label of an attribute that a picture does not show


def load_judge(folder: Path = FOLDERS["critters"]) -> Judge:
    """Load the trained classifier. Raises FileNotFoundError if it is missing."""
    return Judge.from_pretrained(folder, local_files_only=True)


def measure_accuracy(
    answers: dict[str, Tensor], attributes: Attributes, world: World = WORLDS["critters"]
) -> dict[str, float]:
    """Return the accuracy per attribute; that of the accent only where it is visible."""
    scores = {}
    for name, column in attributes.items():
        right = answers[name] == torch.from_numpy(column)
        shown = torch.from_numpy(world.shows(name, attributes))
        scores[name] = round(right[shown].float().mean().item(), 4)
    return scores


def damage(images: Tensor, rng: torch.Generator) -> Tensor:
    """Blur one third of ``images`` and add noise to another, as in pictures of models."""
    choice = torch.rand(len(images), 1, 1, 1, generator=rng)
    strength = torch.rand(len(images), 1, 1, 1, generator=rng)
    blurred = images.lerp(F.avg_pool2d(images, 3, stride=1, padding=1), strength)
    noisy = images + 0.15 * strength * torch.randn(images.shape, generator=rng)
    return torch.where(choice < 1 / 3, blurred, torch.where(choice < 2 / 3, noisy, images))


def train_judge(
    model: Judge,
    optimizer: torch.optim.Optimizer,
    data: Pictures,
    budget: Budget,
    *,
    batch: int,
    learning_rate: float,
    seed: int,
    bfloat16: bool = False,
    max_steps: int | None = None,
) -> Iterator[float]:
    """Train until the budget is spent, yielding the loss of each step."""
    device = next(model.parameters()).device
    rng = torch.Generator().manual_seed(seed + budget.step)
    shown = {name: data.world.shows(name, data.attributes) for name in data.attributes}
    for bar in budget.steps("judge", max_steps):
        set_learning_rate(optimizer, learning_rate * one_cycle(budget.progress))
        indices = torch.randint(len(data), (batch,), generator=rng).numpy()
        images = damage(to_model_range(data.images[indices]), rng).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16):
            logits = model(images)
        loss = torch.zeros((), device=device)
        for name, scores in logits.items():
            wanted = np.where(shown[name], data.attributes[name], UNSEEN)[indices]
            labels = torch.from_numpy(wanted).to(device)
            loss = loss + F.cross_entropy(scores.float(), labels, ignore_index=UNSEEN)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        bar.set_postfix(loss=loss.item(), refresh=False)
        yield loss.item()


def main() -> None:
    """Train, and export the last weights."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/latent-critters-judge", minutes=15, add=_add_arguments
    )
    device = pick_device(arguments.device)
    world = WORLDS[arguments.world]
    data = load_pictures(world, arguments.count, seed=0)
    held_out = load_pictures(world, arguments.held_out, seed=1)
    model = Judge(JudgeConfig(world.values)).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    described = (
        f"{len(data)} DiceBear {world.name} (CC0 1.0), seed 0; held out: {len(held_out)}, seed 1"
    )
    run = TrainingRun(arguments, device, {"model": model, "optimizer": optimizer}, described)

    def export() -> None:
        model.eval()
        model.save_pretrained(arguments.out)
        _, answers = judge(model, to_model_range(held_out.images))
        accuracy = measure_accuracy(answers, held_out.attributes, world)
        print(accuracy)
        run.write_record(
            model="Judge of shared/nets/judge.py",
            batch_size=arguments.batch_size,
            parameters=count_parameters(model),
            metrics={"accuracy": accuracy},
        )

    losses = train_judge(
        model,
        optimizer,
        data,
        run.budget,
        batch=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        seed=arguments.seed,
        bfloat16=arguments.bfloat16,
        max_steps=arguments.max_steps,
    )
    run.follow(losses, lambda _: None, export, evaluations=0)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--world", choices=tuple(WORLDS), default="critters")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--count", type=int, default=50_000, help="training pictures")
    parser.add_argument("--held-out", type=int, default=10_000, help="pictures to measure on")


if __name__ == "__main__":
    main()
