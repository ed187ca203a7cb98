"""Train the critters GAN (models/latent-critters-gan).

    python -m training.train_gan --threads 1              # 45 minutes
    python -m training.train_gan --minutes 3 --out /tmp/gan   # a first look

Generator and discriminator are trained alternately with the non-saturating loss (Goodfellow et al.
2014) and the R1 penalty (Mescheder et al. 2018) every few steps (Karras et al. 2020). The export is
an exponential moving average of the generator's weights, which is more stable than the weights of
one step (Yaz et al. 2019), at its lowest Frechet distance to held-out pictures in the features of
the judge (training/critter_classifier.py).

Two options made training feasible on the small machine of the bundled model:

    python -m training.critter_classifier --minutes 6 --seed 1 --out .cache/training/eyes
    python -m training.train_gan --start models/latent-critters-vae --eyes .cache/training/eyes

``--start`` initialises the generator with the VAE's decoder, which is the same network: from random
weights 31 minutes ended at a distance of 697. ``--eyes`` adds a discriminator on the features of a
second classifier (never the judge): see ``ProjectedDiscriminator``. Both discriminators are in the
checkpoint.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from shared.critters.attributes import SKEWS
from shared.critters.picture_metrics import (
    Statistics,
    frechet_distance,
    generate_images,
    sample_batches,
    to_model_range,
)
from shared.devices import pick_device
from shared.nets import VAE, Discriminator, Generator, GeneratorConfig, ProjectedDiscriminator
from shared.nets.gan import discriminator_loss, generator_loss, r1_penalty
from shared.nets.judge import judge
from training.common import (
    Budget,
    TrainingRun,
    count_parameters,
    one_cycle,
    parse_arguments,
    set_learning_rate,
    update_ema,
)
from training.critter_classifier import load_judge
from training.live import LiveReport, draw_fixed_z
from training.pictures import load_critters

BETAS = (0.0, 0.99)
EMA_DECAY = 0.998
R1_WEIGHT = 1.0
R1_EVERY = 8  # steps, on half a batch; its weight is multiplied accordingly
EVALUATIONS = 12  # per run


def train_gan(
    generator: Generator,
    discriminators: nn.ModuleList,
    optimizers: tuple[torch.optim.Optimizer, torch.optim.Optimizer],
    batches: Iterator[Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    bfloat16: bool = False,
    max_steps: int | None = None,
) -> Iterator[dict[str, float]]:
    """Train until the budget is spent, yielding the losses of each step.

    Args:
        generator: Draws the pictures.
        discriminators: Score them; the first gets pixels and the R1 penalty.
        optimizers: The generator's and the discriminators', in this order.
        batches: Real pictures, (B, 3, 64, 64) in [-1, 1].
        budget: Training time.
        learning_rate: Of both, at its peak.
        bfloat16: Run the convolutions in that type; weights and optimizers stay float32.
        max_steps: Most steps, if given.
    """
    generator_optimizer, discriminator_optimizer = optimizers
    device = next(generator.parameters()).device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)

    learned = [weight for weight in discriminators.parameters() if weight.requires_grad]

    def score(images: Tensor) -> Tensor:
        return torch.cat([discriminator(images).float() for discriminator in discriminators], dim=1)

    for bar in budget.steps("gan", max_steps):
        for optimizer in optimizers:
            set_learning_rate(optimizer, learning_rate * one_cycle(budget.progress, floor=0.1))
        real = next(batches)
        with autocast:
            fake = generator(torch.randn(len(real), generator.config.z_dim, device=device))
            scores = score(real), score(fake.detach())
        judge_loss = discriminator_loss(*scores)
        if budget.step % R1_EVERY == 0:
            penalty = r1_penalty(discriminators[0], real[: len(real) // 2])
            judge_loss = judge_loss + R1_EVERY * R1_WEIGHT / 2 * penalty
        discriminator_optimizer.zero_grad()
        judge_loss.backward()
        discriminator_optimizer.step()

        # The generator's step uses the same pictures and the discriminators' new weights.
        for weight in learned:
            weight.requires_grad_(False)
        with autocast:
            draw_loss = generator_loss(score(fake))
        generator_optimizer.zero_grad()
        draw_loss.backward()
        generator_optimizer.step()
        for weight in learned:
            weight.requires_grad_(True)

        losses = {"discriminator": judge_loss.item(), "generator": draw_loss.item()}
        bar.set_postfix(losses, refresh=False)
        yield losses


def main() -> None:
    """Train, and export the averaged generator with the lowest distance."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/latent-critters-gan", minutes=45, add=_add_arguments
    )
    device = pick_device(arguments.device)
    images = load_critters(arguments.count, seed=0, skew=arguments.skew).images
    held_out = to_model_range(load_critters(arguments.held_out, seed=1, skew=arguments.skew).images)
    model = load_judge().to(device)

    def extract_statistics(pictures: Tensor) -> Statistics:
        return Statistics.of_features(judge(model, pictures)[0])

    real = extract_statistics(held_out)

    def measure(drawer: Generator) -> dict[str, float]:
        drawn = extract_statistics(generate_images(drawer, len(held_out)))
        return {"frechet": round(frechet_distance(drawn, real), 2)}

    generator = Generator(GeneratorConfig())
    if arguments.start:
        start = VAE.from_pretrained(arguments.start, local_files_only=True)
        generator.load_state_dict(start.decoder.state_dict())
    generator.to(device)
    discriminators = nn.ModuleList([Discriminator()])
    if arguments.eyes:
        discriminators.append(ProjectedDiscriminator(load_judge(arguments.eyes)))
    discriminators.to(device)
    average = copy.deepcopy(generator).eval().requires_grad_(False)
    optimizers = (
        torch.optim.Adam(generator.parameters(), betas=BETAS),
        torch.optim.Adam(discriminators.parameters(), betas=BETAS),
    )
    parts: dict[str, Any] = {
        "generator": generator,
        "discriminators": discriminators,
        "average": average,
        "generator_optimizer": optimizers[0],
        "discriminator_optimizer": optimizers[1],
    }

    def load(folder: Path) -> Generator:
        return Generator.from_pretrained(folder, local_files_only=True).to(device)

    draw = draw_fixed_z(Generator.forward, z_dim=generator.config.z_dim, seed=arguments.seed)
    live = LiveReport(arguments, average, draw, load)
    live.begin(measure)
    data = (
        f"{len(images)} DiceBear critters (CC0 1.0), seed 0; skew: {arguments.skew}; "
        f"held out: {len(held_out)}, seed 1"
    )
    run = TrainingRun(arguments, device, parts, data)
    if arguments.resume:
        torch.manual_seed(arguments.seed + run.budget.step)

    def export_if_best() -> None:
        metrics = measure(average)
        live.score(metrics)
        if not run.add_evaluation("frechet", metrics):
            return
        average.save_pretrained(arguments.out)
        run.write_record(
            model="Generator of shared/nets/generator.py, with the discriminators of gan.py",
            batch_size=arguments.batch_size,
            parameters={
                "generator": count_parameters(generator),
                "discriminators (not exported)": count_parameters(discriminators),
            },
            metrics=run.history[-1],
            frechet_of_real_pictures=round(
                frechet_distance(extract_statistics(to_model_range(images[: len(held_out)])), real),
                2,
            ),
        )

    def follow_step(losses: dict[str, float]) -> None:
        # A lower decay early on, so that the average forgets the untrained weights.
        update_ema(average, generator, min(EMA_DECAY, 1 - 10 / (run.budget.step + 20)))
        live.follow(losses)

    losses = train_gan(
        generator,
        discriminators,
        optimizers,
        sample_batches(images, arguments.batch_size, device, seed=arguments.seed + run.budget.step),
        run.budget,
        learning_rate=arguments.learning_rate,
        bfloat16=arguments.bfloat16,
        max_steps=arguments.max_steps,
    )
    run.follow(losses, follow_step, export_if_best, EVALUATIONS)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2.5e-4, help="of both networks")
    parser.add_argument("--start", type=Path, help="VAE whose decoder to begin with")
    parser.add_argument("--eyes", type=Path, help="classifier for a second discriminator")
    parser.add_argument(
        "--skew",
        choices=tuple(SKEWS),
        help="train on an unfair set; with --out models/latent-smiling-gan",
    )
    parser.add_argument("--count", type=int, default=50_000, help="training pictures")
    parser.add_argument("--held-out", type=int, default=5_000, help="pictures to measure on")


if __name__ == "__main__":
    main()
