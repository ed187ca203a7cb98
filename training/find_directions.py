"""Find directions of z with a meaning, for a generator of critters (directions.json).

    python -m training.find_directions                     # all models of latent spaces
    python -m training.find_directions --model models/latent-critters-gan

A generator draws 20,000 random z, and the classifier of training/critter_classifier.py reads the
attributes of each picture. The direction of "horns" is the mean z of the pictures that show horns
minus the mean z of those that do not (as the smile vector of White 2016,
https://arxiv.org/abs/1609.04468), so that adding it once turns an average critter without horns
into an average one with them. The file also has the directions that the weights of the first layer
react to most, whatever their meaning (SeFa, Shen and Zhou 2021, https://arxiv.org/abs/2007.06600).

The success of a direction is recorded too: of 500 other random z, the share whose pictures show the
value before, and after adding the direction once and twice.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shared.critters.attributes import BARE, VALUES
from shared.nets import VAE, Generator
from shared.nets.judge import judge
from shared.settings import ROOT
from training.critter_classifier import Judge, load_judge

FILE = "directions.json"
PRINCIPAL = 8
RAREST = 20  # pictures; the mean of fewer is mostly noise
DECIMALS = 4
STRENGTHS = (1, 2)


def load_generator(folder: Path) -> Generator:
    """Load a GAN's generator or a VAE's decoder; the folder's config.json says which."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if "encoder_channels" in config:
        return VAE.from_pretrained(folder, local_files_only=True).decoder
    return Generator.from_pretrained(folder, local_files_only=True)


@torch.inference_mode()
def read_pictures(
    generator: Generator, model: Judge, z: Tensor, batch: int = 250
) -> dict[str, Tensor]:
    """Draw z (N, z_dim) and read the attributes off the pictures: name -> (N,) likeliest value."""
    device = next(generator.parameters()).device
    answers = [judge(model, generator(part.to(device)))[1] for part in z.split(batch)]
    return {name: torch.cat([answer[name] for answer in answers]) for name in VALUES}


def find_principal(generator: Generator, count: int = PRINCIPAL) -> Tensor:
    """Find the directions that the first layer reacts to most: (count, z_dim), orthonormal."""
    weights = generator.stem.weight.detach().double().cpu()  # (features, z_dim)
    _, vectors = torch.linalg.eigh(weights.T @ weights)  # in ascending order
    directions = vectors.flip(1).T[:count]
    # The sign of an eigenvector is arbitrary; this makes it reproducible.
    largest = directions.abs().argmax(dim=1, keepdim=True)
    return directions * directions.gather(1, largest).sign()


def find_attributes(z: Tensor, answers: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Find the direction of every value that occurs: attribute -> value -> (z_dim,).

    Args:
        z: (N, z_dim).
        answers: Attribute -> (N,) the value that the picture of each z shows.

    Returns:
        The mean z of the pictures that show a value minus that of the others. For the accent, only
        pictures with a top count, since no others show it. Values that fewer than ``RAREST``
        pictures show, or fewer do not show, are left out.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name, words in VALUES.items():
        visible = _visible(name, answers)
        found[name] = {}
        for index, word in enumerate(words):
            shown = answers[name] == index
            with_it, without = z[visible & shown], z[visible & ~shown]
            if min(len(with_it), len(without)) >= RAREST:
                found[name][word] = with_it.mean(dim=0) - without.mean(dim=0)
    return found


def measure_success(
    generator: Generator,
    model: Judge,
    attributes: dict[str, dict[str, Tensor]],
    *,
    count: int = 500,
    seed: int = 2,
) -> dict[str, dict[str, float]]:
    """Measure how often adding a direction makes the picture show its value.

    Args:
        generator: Draws the pictures.
        model: Classifies them.
        attributes: Result of ``find_attributes``.
        count: Random z for each attribute; its values alternate over them.
        seed: Of these z.

    Returns:
        Attribute -> the share of pictures that show the value: "before", and with the direction
        added once ("1x") and twice ("2x"). For the accent, only pictures with a top count.
    """
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.config.z_dim, generator=rng)
    before = read_pictures(generator, model, z)
    shares: dict[str, dict[str, float]] = {}
    for name, directions in attributes.items():
        words = list(directions)
        wanted = torch.tensor([VALUES[name].index(words[row % len(words)]) for row in range(count)])
        added = torch.stack([directions[words[row % len(words)]] for row in range(count)])
        after = {
            f"{strength}x": read_pictures(generator, model, z + strength * added)
            for strength in STRENGTHS
        }
        shares[name] = {}
        for kind, answers in {"before": before, **after}.items():
            hits = (answers[name] == wanted)[_visible(name, answers)]
            shares[name][kind] = round(hits.float().mean().item(), 3)
    return shares


def find_directions(
    generator: Generator, model: Judge, *, count: int = 20_000, seed: int = 1
) -> dict[str, Any]:
    """Find and measure all directions of ``generator``; return the content of directions.json."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, generator.config.z_dim, generator=rng)
    attributes = find_attributes(z, read_pictures(generator, model, z))
    return {
        "principal": _round(find_principal(generator)),
        "attributes": {
            name: {word: _round(direction) for word, direction in directions.items()}
            for name, directions in attributes.items()
        },
        "count": count,
        "success": measure_success(generator, model, attributes),
    }


def write_directions(folder: Path, directions: dict[str, Any]) -> None:
    """Write directions.json beside the weights in ``folder``: one line a direction."""
    text = json.dumps(directions, separators=(",", ":"))
    text = text.replace('{"', '{\n"').replace('],"', '],\n"').replace("],[", "],\n[")
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def _visible(name: str, answers: dict[str, Tensor]) -> Tensor:
    """Return which pictures can show ``name``: (N,) bool; the accent needs a top."""
    return answers["top"] != BARE if name == "accent" else torch.ones_like(answers["top"]).bool()


def _round(numbers: Tensor) -> Any:
    return np.round(numbers.double().numpy(), DECIMALS).tolist()


def main() -> None:
    """Find, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, action="append", help="a folder under models/")
    parser.add_argument("--count", type=int, default=20_000, help="pictures to learn from")
    arguments = parser.parse_args()
    models = sorted(file.parent for file in (ROOT / "models").glob("latent-*/config.json"))
    for folder in arguments.model or models:
        directions = find_directions(load_generator(folder), load_judge(), count=arguments.count)
        write_directions(folder, directions)
        print(f"{folder.name}: shows the value before, with 1x and with 2x the direction")
        for name, row in directions["success"].items():
            missing = set(VALUES[name]) - set(directions["attributes"][name])
            print(f"  {name:10}", row, f"(left out: {', '.join(missing)})" if missing else "")


if __name__ == "__main__":
    main()
