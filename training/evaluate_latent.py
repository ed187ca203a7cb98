"""Compare the critters VAE and GAN with real critters, with a classifier.

    python -m training.evaluate_latent [--count 10000] [--json]
    python -m training.evaluate_latent --out models/latent-comparison.json   # what the page shows

The Frechet distance is taken in the features of ``training/critter_classifier.py``, the same number
of pictures on both sides. It cannot be compared with an Inception FID. The floor is
the distance of real pictures from other real ones. All other figures are measured of real pictures
too: that is the value of a perfect model.

``--out`` writes all figures, and the data of the page's plots. It also measures the distance to
training pictures, how well each model reconstructs unseen pictures, and how models that were
trained on a skewed set reproduce the skew, if there are such models.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from shared.critters.attributes import BARE, SKEWS, VALUES, sample_attributes
from shared.critters.figures import (
    ClassifiedPictures,
    describe,
    histogram,
    measure_reconstructions,
    plot,
    time_pictures,
    to_psnr,
)
from shared.critters.picture_metrics import (
    drawn_batches,
    nearest_distances,
    real_batches,
    to_model_range,
)
from shared.nets import VAE, Generator, Judge
from shared.settings import ROOT
from training.common import count_parameters, describe_hardware
from training.critter_classifier import load_judge
from training.find_directions import find_attributes, read_pictures
from training.pictures import load_critters

TRAINING_PICTURES = 50_000
PUSHES, PUSHED = (0.0, 0.5, 1.0, 1.5, 2.0), 300
MODELS = ROOT / "models"
SKEW = "smiling"


def measure_psnr(vae: VAE, images: Tensor) -> float:
    """Peak signal-to-noise ratio of reconstructions from mu, in decibels."""
    squared, _ = measure_reconstructions(vae, images.split(250))
    return to_psnr(squared.mean().item())


def invert(
    generator: Generator,
    images: Tensor,
    *,
    guesses: int = 128,
    starts: int = 3,
    steps: int = 150,
    seed: int = 3,
) -> Tensor:
    """Search for the z whose pictures are nearest to ``images``, and return those pictures.

    A generator has no encoder, so this is gradient descent from the best of many random z (Zhu et
    al. 2016, https://arxiv.org/abs/1609.03552). Colours are compared at four scales, since shapes
    that do not overlap yet do so at coarse ones.

    Args:
        generator: Its weights do not change.
        images: (N, 3, 64, 64) in [-1, 1].
        guesses: Random z to choose from.
        starts: How many of them to optimise for each picture.
        steps: Of the optimiser.
        seed: Of the guesses.

    Returns:
        (N, 3, 64, 64): the nearest picture found for each.
    """

    def distance(drawn: Tensor, wanted: Tensor) -> Tensor:
        total = (drawn - wanted).abs().mean(dim=(1, 2, 3))
        for _ in range(3):
            drawn, wanted = F.avg_pool2d(drawn, 2), F.avg_pool2d(wanted, 2)
            total = total + (drawn - wanted).abs().mean(dim=(1, 2, 3))
        return total

    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(guesses, generator.config.z_dim, generator=rng)
    with torch.inference_mode():
        drawn = generator(z)
        chosen = torch.cat(
            [distance(drawn, image[None]).topk(starts, largest=False).indices for image in images]
        )
    wanted = images.repeat_interleave(starts, dim=0)
    z = z[chosen.clone()].requires_grad_(True)
    optimizer = torch.optim.Adam([z], lr=0.1)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 0.005 + 0.095 * (1 + math.cos(math.pi * step / steps)) / 2
        (z.grad,) = torch.autograd.grad(distance(generator(z), wanted).sum(), z)
        optimizer.step()
    with torch.inference_mode():
        drawn = generator(z)
        best = distance(drawn, wanted).view(-1, starts).argmin(dim=1)
    return drawn.view(-1, starts, *drawn.shape[1:])[torch.arange(len(images)), best].clone()


def find_repeats(answers: Mapping[str, Tensor], rows: Mapping[str, np.ndarray]) -> float:
    """Return the share of pictures with the same seven attributes as one of the ``rows``."""
    known = set(_number_rows({name: np.asarray(column) for name, column in rows.items()}).tolist())
    seen = _number_rows({name: answer.numpy() for name, answer in answers.items()}).tolist()
    return sum(number in known for number in seen) / max(1, len(seen))


def _number_rows(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return one number for each visibly different combination of attributes."""
    total = np.zeros(len(rows["top"]), dtype=np.int64)
    for name, words in VALUES.items():
        column = np.where(rows["top"] == BARE, 0, rows[name]) if name == "accent" else rows[name]
        total = total * len(words) + column
    return total


def measure_memory(
    sets: Mapping[str, ClassifiedPictures], training: ClassifiedPictures
) -> tuple[dict[str, Any], Any]:
    """Measure how near each set is to training pictures, and plot it.

    Returns:
        Set -> the median distance of a picture to its nearest training picture, in features; the
        share of pictures that are nearer than 99 of 100 real ones (large for a model that has
        memorised pictures); and the share with the attributes of a training picture.
    """
    distances = {
        name: nearest_distances(view.features, training.features) for name, view in sets.items()
    }
    near = float(torch.quantile(distances["real"], 0.01))
    rows = sample_attributes(len(training), seed=0)
    figures = {
        name: {
            "nearest_training": round(found.median().item(), 3),
            "too_near": round((found < near).float().mean().item(), 4),
            "repeats": round(find_repeats(sets[name].answers, rows), 4),
        }
        for name, found in distances.items()
    }
    return figures, histogram(distances)


def measure_skew(answers: Mapping[str, Mapping[str, Tensor]], skew: str = SKEW) -> dict[str, Any]:
    """Count the critters of every colour, and how many of them smile.

    Args:
        answers: Set -> attribute -> (N,) values.
        skew: The rule of the data, with the attributes to count.
    """
    rule = SKEWS[skew]
    (cause, _), (effect, word) = rule.cause, rule.effect
    wanted = VALUES[effect].index(word)
    counts: dict[str, Any] = {}
    for name, seen in answers.items():
        hits = seen[effect] == wanted
        counts[name] = {
            value: [int((seen[cause] == index).sum()), int(hits[seen[cause] == index].sum())]
            for index, value in enumerate(VALUES[cause])
        }
    return {
        "cause": list(rule.cause),
        "effect": list(rule.effect),
        "share": rule.share,
        "counts": counts,
    }


def measure_push(
    generator: Generator, model: Judge, z: Tensor, answers: Mapping[str, Tensor], skew: str = SKEW
) -> dict[str, Any]:
    """Measure whether the direction of a skew's cause also adds its effect.

    Args:
        generator: Draws the pictures.
        model: Classifies them.
        z: (N, z_dim) to compute directions from, as in ``training.find_directions``.
        answers: The attributes of their pictures.
        skew: The rule of the data.

    Returns:
        Of ``PUSHED`` pictures that show neither: the factors on the direction ("strengths"), the
        share that shows the cause, and the share that shows the effect; and the share with the
        effect after the same factors on other directions of the attribute, a different one for
        each picture ("elsewhere").
    """
    rule = SKEWS[skew]
    (cause, value), (effect, word) = rule.cause, rule.effect
    directions = find_attributes(z, dict(answers))[cause]
    wanted, follows = VALUES[cause].index(value), VALUES[effect].index(word)
    start = z[(answers[cause] != wanted) & (answers[effect] != follows)][:PUSHED]
    others = [direction for name, direction in directions.items() if name != value]
    if value not in directions or not others:
        return {}
    other = torch.stack([others[row % len(others)] for row in range(len(start))])
    shares: dict[str, list[float]] = {"cause": [], "effect": [], "elsewhere": []}
    for strength in PUSHES:
        pushed = read_pictures(generator, model, start + strength * directions[value])
        elsewhere = read_pictures(generator, model, start + strength * other)
        for name, hits in (
            ("cause", pushed[cause] == wanted),
            ("effect", pushed[effect] == follows),
            ("elsewhere", elsewhere[effect] == follows),
        ):
            shares[name].append(round(hits.float().mean().item(), 3))
    return {"count": len(start), "strengths": list(PUSHES), **shares}


def load_models(folder: Path, dataset: str) -> tuple[VAE, Generator]:
    """Load the VAE and the GAN of ``dataset``."""
    return (
        VAE.from_pretrained(folder / f"latent-{dataset}-vae", local_files_only=True),
        Generator.from_pretrained(folder / f"latent-{dataset}-gan", local_files_only=True),
    )


def main() -> None:
    """Measure, print, and write the page's figures."""
    arguments = _parse_arguments()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    count, say = arguments.count, _clock()
    model = load_judge()
    vae, gan = (
        VAE.from_pretrained(arguments.vae, local_files_only=True),
        Generator.from_pretrained(arguments.gan, local_files_only=True),
    )
    held_out = load_critters(count, seed=1).images
    real = ClassifiedPictures.of(model, real_batches(held_out))
    say("real pictures")
    sets = {
        "real": ClassifiedPictures.of(model, real_batches(load_critters(count, seed=2).images)),
        "vae": ClassifiedPictures.of(model, drawn_batches(vae.decoder, count)),
        "gan": ClassifiedPictures.of(model, drawn_batches(gan, count)),
    }
    say("drawn pictures")
    figures = {name: describe(real, view) for name, view in sets.items()}
    squared, l1 = measure_reconstructions(vae, real_batches(held_out))
    figures["vae"] |= {"psnr_db": round(to_psnr(squared.mean().item()), 2), "l1": round(l1, 4)}
    say("distances and reconstructions")
    for name, row in figures.items():
        print(name, json.dumps(row))
    if arguments.out:
        report = {
            "command": _write_command(),
            "date": datetime.now(UTC).date().isoformat(),
            "hardware": describe_hardware(torch.device("cpu")),
            "torch": version("torch"),
            "count": count,
            "figures": figures,
            "plots": plot(real, sets),
        }
        pictures = to_model_range(held_out[: arguments.invert])
        closest = invert(gan, pictures)
        inverted = (closest - pictures).square().mean(dim=(1, 2, 3))
        figures["gan"] |= {
            "psnr_db": round(to_psnr(inverted.mean().item()), 2),
            "l1": round((closest - pictures).abs().mean().item() / 2, 4),
            "inverted": len(pictures),
        }
        report["plots"]["psnr_db"] = histogram({"vae": to_psnr(squared), "gan": to_psnr(inverted)})
        say("inversion")
        for name, generator in (("vae", vae.decoder), ("gan", gan)):
            figures[name] |= {
                "parameters": count_parameters(generator),
                "ms_alone": round(time_pictures(generator), 1),
                "ms_in_batch": round(time_pictures(generator, 32, 10), 1),
            }
        training = ClassifiedPictures.of(
            model, real_batches(load_critters(arguments.training, seed=0).images)
        )
        memory, report["plots"]["nearest_training"] = measure_memory(sets, training)
        for name, row in memory.items():
            figures[name] |= row
        figures["real"]["training_pictures"] = len(training)
        say("nearest training pictures")
        report["skew"] = evaluate_skew(model, count, sets)
        say("skew")
        arguments.out.write_text(json.dumps(report) + "\n", encoding="utf-8")
    summary = {
        "frechet_floor": figures["real"]["frechet"],
        "frechet_gan": figures["gan"]["frechet"],
        "frechet_vae": figures["vae"]["frechet"],
        "vae_psnr_db": figures["vae"]["psnr_db"],
        "gan_attribute_coverage": min(figures["gan"]["attributes"].values()),
    }
    print(json.dumps(summary) if arguments.json else summary)


def evaluate_skew(
    model: Judge, count: int, fair: Mapping[str, ClassifiedPictures]
) -> dict[str, Any] | None:
    """Count smiles in the skewed data, in its models' pictures, and in those of the fair models.

    Returns:
        None without skewed models.
    """
    if not all((MODELS / f"latent-{SKEW}-{kind}").is_dir() for kind in ("vae", "gan")):
        return None
    vae, gan = load_models(MODELS, SKEW)
    data = load_critters(TRAINING_PICTURES, seed=0, skew=SKEW)
    rows = {name: torch.from_numpy(column) for name, column in data.attributes.items()}
    generators = {"vae": vae.decoder, "gan": gan}
    z = torch.randn(count, gan.config.z_dim, generator=torch.Generator().manual_seed(4))
    drawn = {name: read_pictures(one, model, z) for name, one in generators.items()}
    return {
        **measure_skew(
            {
                "data": rows,
                **drawn,
                "fair_vae": fair["vae"].answers,
                "fair_gan": fair["gan"].answers,
            }
        ),
        "push": {
            name: measure_push(one, model, z, drawn[name]) for name, one in generators.items()
        },
    }


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000, help="pictures on each side")
    parser.add_argument("--vae", type=Path, default=MODELS / "latent-critters-vae")
    parser.add_argument("--gan", type=Path, default=MODELS / "latent-critters-gan")
    parser.add_argument("--json", action="store_true", help="end with one flat JSON object")
    parser.add_argument("--out", type=Path, help="write all figures to this file")
    parser.add_argument("--invert", type=int, default=24, help="pictures that the GAN redraws")
    parser.add_argument("--training", type=int, default=TRAINING_PICTURES, help="to compare with")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0 means all")
    return parser.parse_args()


def _write_command() -> str:
    words = [word.replace(f"{ROOT}/", "") for word in sys.argv[1:]]
    return " ".join(["python", "-m", "training.evaluate_latent", *words])


def _clock() -> Callable[[str], None]:
    """Return a function that prints finished work and its duration to standard error."""
    last = time.monotonic()

    def say(what: str) -> None:
        nonlocal last
        now = time.monotonic()
        print(f"{what}: {now - last:.0f} s", file=sys.stderr)
        last = now

    return say


if __name__ == "__main__":
    main()
