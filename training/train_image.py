"""Train image/critters, a miniature latent diffusion model that draws critters from a caption.

    python -m training.train_image --minutes 180 --threads 1

or, in several sittings (each can be repeated, to train for longer),

    python -m training.train_image --stage autoencoder --minutes 20 --threads 1
    python -m training.train_image --stage reader --minutes 3 --threads 1 --resume
    python -m training.train_image --stage denoiser --minutes 150 --threads 1 --resume

All parts of the big text-to-image models are here, only smaller (Rombach et al. 2022,
arXiv:2112.10752). First an autoencoder learns to turn 64 x 64 pixels into 8 x 8 latents and back.
Then a text encoder learns to read: from a caption it must say every attribute, as CLIP's had to
tell which picture a caption belongs to. At last every picture is encoded once, and a U-Net learns
to remove noise from the latents, guided by the text encoder, which goes on learning beside it. The
result is a folder that the stock ``diffusers.StableDiffusionPipeline`` loads.

No picture with a pair of ``HELD_OUT_PAIRS`` is used, neither for the autoencoder nor for captions.

    python -m training.train_image --autoencoder models/image-critters --minutes 5 --width 96 \
        --batch-size 32 --count 2000 --all-pairs --samples-every 20 --out /tmp/mine

takes autoencoder and tokenizer from there and trains the rest, from random weights, with pictures
of how it goes (training/live.py): this is what the gallery does for visitors.

    python -m training.train_image --worlds critters sprouts --start models/image-critters \
        --out /tmp/worlds --stage autoencoder --minutes 15 --threads 1

goes on from a finished model to teach it more worlds (then the other stages, with ``--resume``):
every weight is taken from there, the vocabulary grows, and the learning rate is lower.
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

# What each stage gets of the time of --stage all; and the reader with --autoencoder, in minutes.
SHARES = {"autoencoder": 0.12, "reader": 0.02, "denoiser": 0.86}
READER_SHARE, READER_LEAST = 0.04, 1 / 3
# What each world gets of a batch, before that is scaled to the worlds there are.
WORLD_SHARES = {"critters": 0.5, "sprouts": 0.25}
# Pictures of each world for one critter: the others have fewer attributes.
WORLD_COUNTS = {"critters": 1.0, "sprouts": 0.32}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", choices=(*SHARES, "decoder", "all"), default="all")
    parser.add_argument("--eyes", type=Path, help="classifier for the autoencoder to look through")
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
    """Return the minutes of each stage to train.

    Args:
        stage: One of ``SHARES``, or "all".
        minutes: In all.
        given: Whether there is an autoencoder already, so that "all" are the other two.
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
        count: Critters to draw; of the other worlds, ``WORLD_COUNTS`` of that.
        seed: Another gives other pictures.
        all_pairs: Whether pictures with a held-out pair stay.
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
        eyes=load_judge(arguments.eyes) if arguments.eyes else None,
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
