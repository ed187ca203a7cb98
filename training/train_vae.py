"""Train the critters VAE (models/latent-critters-vae).

    python -m training.train_vae --threads 1              # 20 minutes
    python -m training.train_vae --minutes 2 --out /tmp/vae   # a first look

The loss is a mean squared error plus ``--beta`` times the KL divergence of the encoder's Gaussians
from N(0, I) (Kingma and Welling 2014; beta as in Higgins et al. 2017). A small beta gives sharp
reconstructions and broken samples, a large one the reverse. In short trials 4 mixed the colours of
samples and 24 lost the faces; the default is between them.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from shared.critters.attributes import SKEWS
from shared.critters.picture_metrics import (
    Statistics,
    frechet_distance,
    generate_images,
    sample_batches,
    to_model_range,
)
from shared.devices import pick_device
from shared.nets import VAE, VAEConfig, kl_divergence
from training.common import (
    Budget,
    TrainingRun,
    count_parameters,
    one_cycle,
    parse_arguments,
    set_learning_rate,
)
from training.live import LiveReport, draw_fixed_z
from training.pictures import load_critters

KL_WARMUP = 0.3  # share of the run over which beta grows to its value
EVALUATIONS = 6  # per run


def train_vae(
    model: VAE,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Tensor],
    budget: Budget,
    *,
    learning_rate: float,
    beta: float,
    bfloat16: bool = False,
    max_steps: int | None = None,
) -> Iterator[dict[str, float]]:
    """Train until the budget is spent, yielding the losses of each step.

    With ``bfloat16`` the convolutions run in that type; weights and optimizer stay float32.
    """
    for bar in budget.steps("vae", max_steps):
        set_learning_rate(optimizer, learning_rate * one_cycle(budget.progress))
        images = next(batches)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            drawn, mu, logvar = (part.float() for part in model(images))
        mse, kl = F.mse_loss(drawn, images), kl_divergence(mu, logvar).mean()
        optimizer.zero_grad()
        # Reconstruction first, KL later: otherwise small parts are never encoded.
        weight = beta * min(1.0, budget.progress / KL_WARMUP)
        (mse + weight * kl / images[0].numel()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses = {"mse": mse.item(), "kl": kl.item()}
        bar.set_postfix(losses, refresh=False)
        yield losses


@torch.inference_mode()
def evaluate(model: VAE, held_out: Tensor, real: Statistics, beta: float) -> dict[str, float]:
    """Measure reconstructions of held-out pictures (from mu, without noise) and samples."""
    model.eval()
    device = next(model.parameters()).device
    squared = absolute = kl = 0.0
    for images in held_out.split(100):
        images = images.to(device)
        mu, logvar = model.encode(images)
        error = model.decode(mu) - images
        squared += error.square().sum().item() / held_out.numel()
        absolute += error.abs().sum().item() / held_out.numel()
        kl += kl_divergence(mu, logvar).sum().item() / len(held_out)
    samples = Statistics.of(generate_images(model.decoder, len(held_out)))
    model.train()
    return {
        "loss": squared + beta * kl / held_out[0].numel(),
        "psnr_db": 10 * math.log10(2**2 / squared),
        "l1": absolute / 2,  # of a range of 0 to 1
        "kl_nats": kl,
        "sample_frechet": frechet_distance(samples, real),
    }


def main() -> None:
    """Train, and export the weights with the lowest held-out loss."""
    arguments = parse_arguments(
        __doc__.split("\n")[0], out="models/latent-critters-vae", minutes=20, add=_add_arguments
    )
    device, beta = pick_device(arguments.device), arguments.beta
    images = load_critters(arguments.count, seed=0, skew=arguments.skew).images
    held_out = to_model_range(load_critters(arguments.held_out, seed=1, skew=arguments.skew).images)
    real = Statistics.of(held_out)

    model = VAE(VAEConfig()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.99))

    def load(folder: Path) -> VAE:
        return VAE.from_pretrained(folder, local_files_only=True).to(device)

    draw = draw_fixed_z(VAE.decode, z_dim=model.config.z_dim, seed=arguments.seed)
    live = LiveReport(arguments, model, draw, load)
    live.begin(lambda vae: evaluate(vae, held_out, real, beta))
    data = (
        f"{len(images)} DiceBear critters (CC0 1.0), seed 0; skew: {arguments.skew}; "
        f"held out: {len(held_out)}, seed 1"
    )
    run = TrainingRun(arguments, device, {"model": model, "optimizer": optimizer}, data)

    def export_if_best() -> None:
        metrics = evaluate(model, held_out, real, beta)
        live.score(metrics)
        if run.add_evaluation("loss", metrics):
            model.save_pretrained(arguments.out)
        run.write_record(
            model="VAE of shared/nets/vae.py",
            beta=beta,
            batch_size=arguments.batch_size,
            parameters={
                "encoder": count_parameters(model.encoder),
                "decoder": count_parameters(model.decoder),
            },
            metrics=min(run.history, key=lambda entry: entry["loss"]),
            sample_frechet_of_real_pictures=frechet_distance(
                Statistics.of(to_model_range(images[: len(held_out)])), real
            ),
        )

    losses = train_vae(
        model,
        optimizer,
        sample_batches(images, arguments.batch_size, device, seed=arguments.seed + run.budget.step),
        run.budget,
        learning_rate=arguments.learning_rate,
        beta=beta,
        bfloat16=arguments.bfloat16,
        max_steps=arguments.max_steps,
    )
    run.follow(losses, live.follow, export_if_best, EVALUATIONS)


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--beta", type=float, default=8.0, help="weight of the KL divergence")
    # More, smaller steps learn faster in the same minutes.
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument(
        "--skew",
        choices=tuple(SKEWS),
        help="train on an unfair set; with --out models/latent-smiling-vae",
    )
    parser.add_argument("--count", type=int, default=20_000, help="training pictures")
    parser.add_argument("--held-out", type=int, default=500, help="pictures to measure on")


if __name__ == "__main__":
    main()
