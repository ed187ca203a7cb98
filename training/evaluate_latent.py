"""Compare the critters VAE and GAN with real critters, in the eyes of a classifier.

    python -m training.evaluate_latent [--count 10000] [--json]

The Frechet distance is taken in the features of ``training/critter_classifier.py``, the same number
of pictures on both sides; it is no Inception FID and compares only with itself. The floor is the
distance of real pictures from other real ones. Precision and recall count how many drawn pictures
lie among real ones, and the reverse (Kynkaanniemi et al. 2019, https://arxiv.org/abs/1904.06991).
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shared.nets import VAE, Generator
from shared.settings import ROOT
from training.critter_classifier import BARE, Judge, judge, load_judge
from training.critter_data import VALUES, load_critters
from training.critter_metrics import Statistics, frechet_distance, generate_images, to_model_range

NEIGHBOURS = 3
PAIRS = 2_000  # pictures compared with each other for precision, recall and diversity


@dataclass(frozen=True)
class View:
    """What the classifier sees in a set of pictures.

    Attributes:
        features: (N, D).
        answers: Attribute -> (N,) the likeliest value.
        sharpness: Mean absolute difference of neighbouring pixels, 0 to 2.
    """

    features: Tensor
    answers: dict[str, Tensor]
    sharpness: float

    @classmethod
    def of(cls, model: Judge, images: Tensor) -> View:
        """Look at images (N, 3, 64, 64) in [-1, 1]."""
        sharpness = (images[..., 1:] - images[..., :-1]).abs().mean().item()
        return cls(*judge(model, images), sharpness)

    def distance(self, other: View) -> float:
        """Frechet distance of the features."""
        return frechet_distance(
            Statistics.of_features(self.features), Statistics.of_features(other.features)
        )


def cover(answers: dict[str, Tensor]) -> dict[str, float]:
    """Share of an attribute's values that occur in at least one of a thousand pictures."""
    least = len(answers["top"]) / 1000
    counts = {
        name: torch.bincount(seen, minlength=len(VALUES[name]))
        for name, seen in _visible(answers).items()
    }
    return {name: (count >= least).float().mean().item() for name, count in counts.items()}


def evenness(answers: dict[str, Tensor]) -> dict[str, float]:
    """Entropy of each attribute's values, as a share of the most there can be."""
    result = {}
    for name, seen in _visible(answers).items():
        shares = torch.bincount(seen, minlength=len(VALUES[name])).float() / len(seen)
        entropy = -torch.special.xlogy(shares, shares).sum().item()
        result[name] = round(entropy / math.log(len(VALUES[name])), 3)
    return result


def _visible(answers: dict[str, Tensor]) -> dict[str, Tensor]:
    return answers | {"accent": answers["accent"][answers["top"] != BARE]}


def precision_and_recall(real: Tensor, drawn: Tensor) -> tuple[float, float]:
    """Share of ``drawn`` (N, D) within reach of a real neighbourhood, and the reverse."""

    def share_within(points: Tensor, others: Tensor) -> float:
        reach = torch.cdist(others, others).kthvalue(NEIGHBOURS + 1, dim=1).values  # 1 is itself
        return (torch.cdist(points, others) <= reach).any(dim=1).float().mean().item()

    return share_within(drawn, real), share_within(real, drawn)


@torch.inference_mode()
def measure_psnr(vae: VAE, images: Tensor) -> float:
    """Peak signal-to-noise ratio of reconstructions from mu, in decibels."""
    squared = sum(
        (vae.decode(vae.encode(part)[0]) - part).square().sum().item() for part in images.split(250)
    )
    return 10 * math.log10(2**2 / (squared / images.numel()))


def describe(real: View, drawn: View) -> dict[str, Any]:
    """All figures of one model beside the real pictures."""
    some = drawn.features[:PAIRS]
    precision, recall = precision_and_recall(real.features[:PAIRS], some)
    return {
        "frechet": round(drawn.distance(real), 3),
        "precision": round(precision, 3),
        "recall": round(recall, 3),
        "diversity": round(torch.pdist(some).mean().item(), 3),
        "sharpness": round(drawn.sharpness, 4),
        "coverage": {name: round(share, 3) for name, share in cover(drawn.answers).items()},
        "evenness": evenness(drawn.answers),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="pictures on each side")
    parser.add_argument("--vae", type=Path, default=ROOT / "models" / "latent-critters-vae")
    parser.add_argument("--gan", type=Path, default=ROOT / "models" / "latent-critters-gan")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    arguments = parser.parse_args()

    held_out = to_model_range(load_critters(arguments.count, seed=1).images)
    others = to_model_range(load_critters(arguments.count, seed=2).images)
    vae = VAE.from_pretrained(arguments.vae, local_files_only=True)
    gan = Generator.from_pretrained(arguments.gan, local_files_only=True)
    model = load_judge()
    real = View.of(model, held_out)
    figures = {
        "real": describe(real, View.of(model, others)),
        "gan": describe(real, View.of(model, generate_images(gan, arguments.count))),
        "vae": describe(real, View.of(model, generate_images(vae.decoder, arguments.count))),
    }
    for name, row in figures.items():
        print(name, json.dumps(row))
    summary = {
        "frechet_floor": figures["real"]["frechet"],
        "frechet_gan": figures["gan"]["frechet"],
        "frechet_vae": figures["vae"]["frechet"],
        "vae_psnr_db": round(measure_psnr(vae, held_out), 2),
        "gan_attribute_coverage": min(figures["gan"]["coverage"].values()),
    }
    print(json.dumps(summary) if arguments.json else summary)


if __name__ == "__main__":
    main()
