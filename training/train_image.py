"""Train image/critters, a miniature latent diffusion model that draws critters from a caption.

    python -m training.train_image --minutes 180 --threads 1

or, in several sittings (each can be repeated, to train for longer),

    python -m training.train_image --stage autoencoder --minutes 20 --threads 1
    python -m training.train_image --stage reader --minutes 3 --threads 1 --resume
    python -m training.train_image --stage denoiser --minutes 150 --threads 1 --resume

It has all parts of large latent diffusion models, only smaller (Rombach et al. 2022,
arXiv:2112.10752). First an autoencoder learns to map 64 x 64 pixels to 8 x 8 latents and back. Then
a text encoder is pretrained to classify every attribute of a caption, in place of CLIP's
contrastive pretraining. Last, every picture is encoded once, and a U-Net learns to denoise the
latents, conditioned by the text encoder, which is trained with it. The stock
``diffusers.StableDiffusionPipeline`` loads the resulting folder.

Pictures with a held-out pair of values are not used, neither for the autoencoder nor for captions.

    python -m training.train_image --autoencoder models/image-critters --minutes 5 --width 96 \
        --batch-size 32 --count 2000 --all-pairs --samples-every 20 --out /tmp/mine

loads autoencoder and tokenizer and trains the rest from random weights, with live reports
(training/live.py), as the gallery does for visitors.

    python -m training.train_image --worlds critters sprouts --start models/image-critters \
        --out /tmp/worlds --stage autoencoder --minutes 15 --threads 1

continues a finished model with more worlds (then the other stages, with ``--resume``): it starts
from all its weights, with a larger vocabulary and a lower learning rate.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path

from shared.critters.worlds import WORLDS
from shared.devices import pick_device
from training.common import parse_arguments
from training.critter_classifier import load_judge
from training.image_nets import UNET_WIDTH
from training.image_run import Run
from training.image_stages import DENOISER_BATCH
from training.mixture import Mixture
from training.pictures import load_pictures

# Share of each stage in the minutes of --stage all; with --autoencoder, the reader's and its least.
SHARES = {"autoencoder": 0.12, "reader": 0.02, "denoiser": 0.86}
READER_SHARE, READER_LEAST = 0.04, 1 / 3
# Share of each world in a batch, before normalising over the given worlds.
WORLD_SHARES = {"critters": 0.5, "sprouts": 0.25}
# Pictures of each world per critter: the others have fewer attributes.
WORLD_COUNTS = {"critters": 1.0, "sprouts": 0.32}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", choices=(*SHARES, "decoder", "all"), default="all")
    parser.add_argument(
        "--eyes", type=Path, help="classifier for the autoencoder's perceptual loss"
    )
    parser.add_argument(
        "--worlds", nargs="+", choices=tuple(WORLDS), default=["critters"], help="what to draw"
    )
    parser.add_argument("--start", type=Path, help="pipeline folder to go on from")
    parser.add_argument(
        "--count", type=int, default=50_000, help="critters to draw; those with no held-out pair"
    )
    parser.add_argument("--held-out", type=int, default=2_000, help="critters to measure on")
    parser.add_argument("--all-pairs", action="store_true", help="leave no pair out")
    parser.add_argument(
        "--autoencoder", type=Path, help="pipeline folder to take autoencoder and tokenizer from"
    )
    parser.add_argument("--width", type=int, default=UNET_WIDTH, help="channels of the U-Net")
    parser.add_argument("--batch-size", type=int, default=DENOISER_BATCH, help="of the denoiser")


def share_out(stage: str, minutes: float, *, given: bool) -> dict[str, float]:
    """Return the minutes of each stage.

    Args:
        stage: One of ``SHARES``, or "all".
        minutes: Total.
        given: Whether the autoencoder is given, so that "all" are the other two stages.
    """
    if stage != "all":
        return {stage: minutes}
    if not given:
        return {name: share * minutes for name, share in SHARES.items()}
    reader = min(max(READER_SHARE * minutes, READER_LEAST), minutes / 2)
    return {"reader": reader, "denoiser": minutes - reader}


def mix(names: Collection[str], count: int, *, seed: int, all_pairs: bool) -> Mixture:
    """Load pictures of the worlds ``names``.

    Args:
        names: Of ``WORLDS``.
        count: Number of critters; of the other worlds, ``WORLD_COUNTS`` times that.
        seed: Of the pictures.
        all_pairs: Whether to include pictures with a held-out pair.
    """
    parts = [
        load_pictures(WORLDS[name], round(count * WORLD_COUNTS[name]), seed=seed) for name in names
    ]
    total = sum(WORLD_SHARES[name] for name in names)
    return Mixture(
        parts if all_pairs else [part.without_held_out() for part in parts],
        [WORLD_SHARES[name] / total for name in names],
    )


def main() -> None:
    """Train, export and measure."""
    arguments = parse_arguments(
        __doc__ or "", out="models/image-critters", minutes=180, add=_add_arguments
    )
    run = Run(
        arguments.out,
        mix(arguments.worlds, arguments.count, seed=0, all_pairs=arguments.all_pairs),
        mix(arguments.worlds, arguments.held_out, seed=1, all_pairs=True),
        pick_device(arguments.device),
        seed=arguments.seed,
        bfloat16=arguments.bfloat16,
        autoencoder=arguments.autoencoder,
        width=arguments.width,
        batch=arguments.batch_size,
        start=arguments.start,
        classifier=load_judge(arguments.eyes) if arguments.eyes else None,
    )
    if arguments.resume:
        run.resume()
    if arguments.samples_every:
        run.watch(arguments)
    given = arguments.autoencoder is not None
    stages = share_out(arguments.stage, arguments.minutes, given=given)
    for stage, minutes in stages.items():
        getattr(run, f"train_{stage}")(minutes, arguments.max_steps)
    if "denoiser" in stages and not run.live:
        run.measure()


if __name__ == "__main__":
    main()
