"""Train image/critters, a miniature latent diffusion model that draws critters from a caption.

    python -m training.train_image --minutes 75 --threads 1

or, in two sittings (each can be repeated, to train for longer),

    python -m training.train_image --stage autoencoder --minutes 25 --threads 1
    python -m training.train_image --stage denoiser --minutes 50 --threads 1 --resume

All parts of the big text-to-image models are here, only smaller (Rombach et al. 2022,
arXiv:2112.10752). First an autoencoder learns to turn 64 x 64 pixels into 8 x 8 latents and back.
Then it is frozen, every picture is encoded once, and a U-Net learns to remove noise from the
latents, guided by a text encoder that is trained along with it. The result is a folder that the
stock ``diffusers.StableDiffusionPipeline`` loads.
"""

from __future__ import annotations

import argparse
import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from shared.devices import pick_device
from training.captions import MAX_TOKENS, build_tokenizer, write_caption
from training.common import (
    Budget,
    count_parameters,
    describe_hardware,
    load_checkpoint,
    one_cycle,
    parse_arguments,
    save_checkpoint,
    set_learning_rate,
    stop_cleanly,
    update_ema,
    write_record,
)
from training.critter_data import VALUES, Critters, load_critters, render_critter

MODEL = "image/critters"
TEXT_WIDTH = 160
# Of the time of --stage all, the autoencoder gets this share.
AUTOENCODER_SHARE = 1 / 3
AUTOENCODER_BATCH = 16
DENOISER_BATCH = 64
# Chance that a caption leaves an attribute out, and that it is the empty prompt, which
# classifier-free guidance needs (Ho and Salimans 2022, arXiv:2207.12598).
DROP_ATTRIBUTE = 0.15
DROP_CAPTION = 0.1

Net = TypeVar("Net", bound=nn.Module)


def build_autoencoder() -> AutoencoderTiny:
    """Build the autoencoder: (B, 3, 64, 64) pixels in [-1, 1] <-> (B, 8, 8, 8) latents.

    Residual blocks without normalization: flat colours come out right sooner, and a step costs
    half of what one of a comparable ``AutoencoderKL`` does.

    It starts as a blur: every residual branch adds nothing yet, and down- and upsampling only copy.
    From there colours come within a minute; from the usual initialization they take far longer
    (compare Zhang et al. 2019, arXiv:1901.09321).
    """
    vae = AutoencoderTiny(
        encoder_block_out_channels=(48,) * 4,
        decoder_block_out_channels=(48,) * 4,
        num_encoder_blocks=(0, 1, 1, 2),
        num_decoder_blocks=(2, 1, 1, 0),
        latent_channels=8,
        scaling_factor=1.0,
    )
    for module in vae.modules():
        if isinstance(module, AutoencoderTinyBlock):
            nn.init.zeros_(module.conv[-1].weight)
        elif isinstance(module, nn.Conv2d) and module.bias is None:  # down- and upsampling
            nn.init.dirac_(module.weight)
    return vae


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Build the text encoder: (B, T) token ids -> (B, T, TEXT_WIDTH)."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=3 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def build_unet() -> UNet2DConditionModel:
    """Build the denoiser: noisy (B, 8, 8, 8) latents, time and text -> velocity, same shape.

    The words reach it by two ways: pooled and added to the time embedding, which scales and shifts
    every block and is learned within minutes, and through cross-attention at 4 x 4.
    """
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=(128, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,  # diffusers reads this as the number of heads
        cross_attention_dim=TEXT_WIDTH,
        time_embedding_dim=256,
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
    )


def build_scheduler() -> DDIMScheduler:
    """Build the noise schedule: the last step is pure noise (Lin et al. 2023, arXiv:2305.08891).

    The network predicts the velocity (Salimans and Ho 2022, arXiv:2202.00512), which is defined
    there too, and sampling starts at the last step.
    """
    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        set_alpha_to_one=True,
        clip_sample=False,
        steps_offset=1,  # the pipeline insists; trailing spacing makes no use of it
    )


class Learner(Generic[Net]):
    """A network with its optimizer and the moving average of its weights, which is what we keep.

    Args:
        model: The network to train.
        learning_rate: Its highest value; it follows ``one_cycle``.
        ema_decay: Of the average, reached after about a hundred steps.
    """

    def __init__(self, model: Net, *, learning_rate: float, ema_decay: float) -> None:
        self.model = model
        self.average = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=learning_rate, betas=(0.9, 0.99), weight_decay=1e-3
        )
        self.step = 0
        self.minutes = 0.0
        self.best = float("inf")
        self.history: list[list[float]] = []
        self._learning_rate = learning_rate
        self._ema_decay = ema_decay

    def update(self, loss: Tensor, progress: float) -> None:
        """Take one optimizer step. ``progress`` is the share of the run that has passed."""
        set_learning_rate(self.optimizer, self._learning_rate * one_cycle(progress))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        update_ema(self.average, self.model, min(self._ema_decay, self.step / (self.step + 9)))

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a resumed run needs."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
            "best": self.best,
            "history": self.history,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up where ``state_dict`` left off."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("step", "minutes", "best", "history"):
            setattr(self, name, state[name])


def to_pixels(images: np.ndarray | Tensor, device: torch.device) -> Tensor:
    """Turn (B, H, W, 3) uint8 into (B, 3, H, W) float32 in [-1, 1], channels last in memory.

    That memory format makes convolutions with few channels several times faster on a CPU.
    """
    pixels = torch.as_tensor(images, device=device).permute(0, 3, 1, 2).float() / 127.5 - 1
    return pixels.contiguous(memory_format=torch.channels_last)


def autoencoder_loss(vae: AutoencoderTiny, pixels: Tensor) -> Tensor:
    """Return L1 of pixels and of their differences to the neighbours, and the latents' moments.

    The second term wants sharp edges, of which these pictures mostly consist. The third keeps the
    mean of each latent channel at 0 and its deviation at 1, which is what the denoiser expects.
    """
    latents = vae.encode(pixels).latents.float()
    error = vae.decode(latents).sample.float() - pixels
    edges = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))  # (C,)
    moments = mean.square().mean() + (std - 1).square().mean()
    return error.abs().mean() + 0.5 * edges + 0.05 * moments


def mixed_precision(device: torch.device, bfloat16: bool) -> torch.autocast:
    """Compute in bfloat16 where that is asked for; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


def train_autoencoder(
    learner: Learner[AutoencoderTiny], images: np.ndarray, budget: Budget, *, bfloat16: bool
) -> Iterator[float]:
    """Yield the loss of one step after another, for as long as the caller asks.

    Args:
        learner: Holds the autoencoder.
        images: (N, 64, 64, 3) uint8.
        budget: Its progress sets the learning rate.
        bfloat16: Compute in mixed precision.
    """
    device = next(learner.model.parameters()).device
    while True:
        chosen = torch.randint(len(images), (AUTOENCODER_BATCH,)).numpy()
        with mixed_precision(device, bfloat16):
            loss = autoencoder_loss(learner.model, to_pixels(images[chosen], device))
        learner.update(loss, budget.progress)
        yield float(loss.detach())


@torch.no_grad()
def evaluate_autoencoder(vae: AutoencoderTiny, images: np.ndarray) -> dict[str, float]:
    """Return ``l1`` (pixels from 0 to 1) and ``psnr`` (dB, mean over pictures) of ``images``."""
    absolute, psnr = [], []
    for start in range(0, len(images), AUTOENCODER_BATCH):
        pixels = to_pixels(images[start : start + AUTOENCODER_BATCH], vae.device)
        error = vae.decode(vae.encode(pixels).latents).sample.clamp(-1, 1) - pixels
        error = error / 2
        absolute.append(error.abs().mean(dim=(1, 2, 3)))
        psnr.append(-10 * error.square().mean(dim=(1, 2, 3)).log10())
    return {"l1": float(torch.cat(absolute).mean()), "psnr": float(torch.cat(psnr).mean())}


@torch.no_grad()
def encode(vae: AutoencoderTiny, images: np.ndarray) -> Tensor:
    """Encode (N, 64, 64, 3) uint8 pictures: (N, 8, 8, 8) latents."""
    batches = range(0, len(images), 64)
    return torch.cat(
        [vae.encode(to_pixels(images[start : start + 64], vae.device)).latents for start in batches]
    ).contiguous()


def denoiser_loss(
    denoiser: nn.ModuleDict,
    scheduler: DDIMScheduler,
    latents: Tensor,
    token_ids: Tensor,
    noise: Tensor,
    timesteps: Tensor,
) -> Tensor:
    """Return the mean squared error of the predicted velocity.

    Args:
        denoiser: ``unet`` and ``text_encoder``.
        scheduler: Says how much noise belongs to a time step.
        latents: (B, 8, 8, 8), without noise.
        token_ids: (B, T).
        noise: Like ``latents``.
        timesteps: (B,), 0 to 999.
    """
    noisy = scheduler.add_noise(latents, noise, timesteps)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    text = denoiser["text_encoder"](token_ids).last_hidden_state  # (B, T, TEXT_WIDTH)
    return F.mse_loss(denoiser["unet"](noisy, timesteps, text).sample.float(), velocity)


def tokenize(tokenizer: CLIPTokenizer, captions: list[str], device: torch.device) -> Tensor:
    """Return (B, MAX_TOKENS) token ids, padded just as the pipeline pads them."""
    return tokenizer(
        captions,
        padding="max_length",
        max_length=MAX_TOKENS,
        truncation=True,
        return_tensors="pt",
    ).input_ids.to(device)


def train_denoiser(
    learner: Learner[nn.ModuleDict],
    latents: Tensor,
    critters: Critters,
    tokenizer: CLIPTokenizer,
    budget: Budget,
    rng: random.Random,
    *,
    bfloat16: bool,
) -> Iterator[float]:
    """Yield the loss of one step after another, for as long as the caller asks.

    Args:
        learner: Holds ``unet`` and ``text_encoder`` in a ``ModuleDict``.
        latents: (N, 8, 8, 8), one for each critter.
        critters: Their attributes, of which new captions are written at each step.
        tokenizer: Turns the captions into tokens.
        budget: Its progress sets the learning rate.
        rng: For the captions.
        bfloat16: Compute in mixed precision.
    """
    scheduler = build_scheduler()
    count, device = DENOISER_BATCH, latents.device
    while True:
        chosen = torch.randint(len(latents), (count,))
        captions = [
            ""
            if rng.random() < DROP_CAPTION
            else write_caption(critters.describe(index), rng, drop=DROP_ATTRIBUTE)
            for index in chosen.tolist()
        ]
        clean = latents[chosen.to(device)]
        # Spread over the batch, so that no step sees easy times only.
        times = (torch.rand(1) + torch.arange(count) / count) % 1 * 1000
        with mixed_precision(device, bfloat16):
            loss = denoiser_loss(
                learner.model,
                scheduler,
                clean,
                tokenize(tokenizer, captions, device),
                torch.randn_like(clean),
                times.long().to(device),
            )
        learner.update(loss, budget.progress)
        yield float(loss.detach())


@torch.no_grad()
def evaluate_denoiser(
    denoiser: nn.ModuleDict, latents: Tensor, critters: Critters, tokenizer: CLIPTokenizer
) -> float:
    """Return the loss on held-out critters with full captions, always the same noise and times."""
    captions_rng, rng = random.Random(0), torch.Generator().manual_seed(0)
    scheduler, count = build_scheduler(), len(latents)
    captions = [write_caption(critters.describe(index), captions_rng) for index in range(count)]
    token_ids = tokenize(tokenizer, captions, latents.device)
    noise = torch.randn(latents.shape, generator=rng).to(latents.device)
    times = (torch.arange(count) * 1000 // count).to(latents.device)
    losses = [
        denoiser_loss(denoiser, scheduler, latents[part], token_ids[part], noise[part], times[part])
        for part in torch.arange(count).chunk(max(1, count // DENOISER_BATCH))
    ]
    return float(torch.stack(losses).mean())


def build_pipeline(
    vae: AutoencoderTiny, denoiser: nn.ModuleDict, tokenizer: CLIPTokenizer
) -> StableDiffusionPipeline:
    """Put the parts together into a stock pipeline. There is no safety checker: see the card."""
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser["text_encoder"],
        tokenizer=tokenizer,
        unet=denoiser["unet"],
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def export_pipeline(
    folder: Path, vae: AutoencoderTiny, denoiser: nn.ModuleDict, tokenizer: CLIPTokenizer
) -> None:
    """Write the pipeline folder, weights as float16: half the size, and no visible difference.

    Weights left by an earlier export go first, since they may have been cut into other files.
    """
    for old in folder.glob("*/*.safetensors*"):
        old.unlink()
    vae, denoiser = copy.deepcopy(vae).half(), copy.deepcopy(denoiser).half()
    build_pipeline(vae, denoiser, tokenizer).save_pretrained(folder, max_shard_size="9MB")


def measure_prompt_following(
    pipeline: StableDiffusionPipeline, critters: Critters, *, count: int = 48
) -> dict[str, float]:
    """Return attribute -> share of pictures, 0 to 1, that have it as the caption asked.

    Each picture is compared with fresh drawings of what was asked for and of its neighbours, which
    differ in that attribute only. It counts as right where the nearest one (mean absolute
    difference of the pixels) is the critter asked for. The accent counts only where there is a top.

    Args:
        pipeline: Draws the pictures: 10 steps, guidance 3.
        critters: Held out; only their attributes are used.
        count: How many pictures to draw.
    """
    captions_rng, rng = random.Random(0), torch.Generator().manual_seed(0)
    asked = [critters.describe(index) for index in range(min(count, len(critters)))]
    captions = [write_caption(words, captions_rng) for words in asked]
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(
        captions, num_inference_steps=10, guidance_scale=3.0, generator=rng, output_type="np"
    ).images  # (count, 64, 64, 3), 0 to 1
    right: dict[str, list[bool]] = {name: [] for name in VALUES}
    for words, picture in zip(asked, pictures, strict=True):
        for name, values in VALUES.items():
            if name == "accent" and words["top"] == "nothing":
                continue
            drawn = np.stack([render_critter({**words, name: value}) for value in values]) / 255
            distances = np.abs(drawn - picture).mean(axis=(1, 2, 3))
            right[name].append(values[int(distances.argmin())] == words[name])
    return {name: round(float(np.mean(hits)), 3) for name, hits in right.items() if hits}


def run_stage(
    label: str,
    learner: Learner[Any],
    losses: Iterator[float],
    budget: Budget,
    save: Callable[[], None],
    max_steps: int | None,
) -> None:
    """Consume a training loop until the budget is spent; call ``save`` each minute and at the end.

    Ctrl-C and SIGTERM end it early and save too.
    """
    smooth = None
    with stop_cleanly():
        for bar in budget.steps(label, max_steps):
            loss = next(losses)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            learner.minutes = budget.minutes_spent
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
            if budget.checkpoint_due():
                save()
    save()


class Run:
    """One training run: the data, both learners, and what is on disk in ``out``.

    The checkpoint holds both stages. The autoencoder that the denoiser works with is stored apart
    from its learner: it is the best one so far, by held-out L1.
    """

    def __init__(
        self,
        out: Path,
        train: Critters,
        held_out: Critters,
        device: torch.device,
        *,
        seed: int,
        bfloat16: bool,
    ) -> None:
        self.out, self.device, self.seed, self.bfloat16 = out, device, seed, bfloat16
        self.train, self.held_out = train, held_out
        self.tokenizer = build_tokenizer()
        self.autoencoder: Learner[AutoencoderTiny] = Learner(
            build_autoencoder().to(device, memory_format=torch.channels_last),
            learning_rate=1e-3,
            ema_decay=0.995,
        )
        self.denoiser = self._new_denoiser()
        self.vae: AutoencoderTiny | None = None
        self.metrics: dict[str, Any] = {}

    def _new_denoiser(self) -> Learner[nn.ModuleDict]:
        parts = {"unet": build_unet(), "text_encoder": build_text_encoder(self.tokenizer)}
        model = nn.ModuleDict(parts).to(self.device)
        return Learner(model, learning_rate=1e-3, ema_decay=0.998)

    def resume(self) -> None:
        """Load ``checkpoint.pt``. Raises FileNotFoundError where there is none."""
        state = load_checkpoint(self.out, self.device)
        if (self.out / "tokenizer").is_dir():  # a new one may number some tokens otherwise
            self.tokenizer = CLIPTokenizer.from_pretrained(self.out / "tokenizer")
        self.autoencoder.load_state_dict(state["autoencoder"])
        self.denoiser.load_state_dict(state["denoiser"])
        self.metrics = state["metrics"]
        self.vae = copy.deepcopy(self.autoencoder.average)
        self.vae.load_state_dict(state["vae"])

    def train_autoencoder(self, minutes: float, max_steps: int | None = None) -> None:
        """Train the autoencoder. A denoiser that was trained before does not fit it any more."""
        learner = self.autoencoder
        if self.denoiser.step:
            print("the autoencoder changes, so the denoiser starts afresh")
            self.denoiser = self._new_denoiser()
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        losses = train_autoencoder(learner, self.train.images, budget, bfloat16=self.bfloat16)
        run_stage("autoencoder", learner, losses, budget, self._save_autoencoder, max_steps)

    def train_denoiser(self, minutes: float, max_steps: int | None = None) -> None:
        """Train U-Net and text encoder on the frozen autoencoder's latents."""
        if self.vae is None:
            raise SystemExit(
                "The denoiser needs an autoencoder: train it with --stage autoencoder, "
                "then add --resume."
            )
        learner = self.denoiser
        latents = encode(self.vae, self.train.images)
        self.held_out_latents = encode(self.vae, self.held_out.images[:512])
        budget = Budget(minutes, step=learner.step, minutes_before=learner.minutes)
        rng = random.Random(self.seed + learner.step)
        losses = train_denoiser(
            learner, latents, self.train, self.tokenizer, budget, rng, bfloat16=self.bfloat16
        )
        run_stage("denoiser", learner, losses, budget, self._save_denoiser, max_steps)

    def measure(self) -> None:
        """Load the exported pipeline, measure how well it follows prompts and record that."""
        pipeline = StableDiffusionPipeline.from_pretrained(self.out, dtype=torch.float32)
        scores = measure_prompt_following(pipeline.to(self.device), self.held_out)
        self.metrics["prompt_following"] = scores
        self._save_record()

    def _save_autoencoder(self) -> None:
        learner = self.autoencoder
        scores = evaluate_autoencoder(learner.average, self.held_out.images[:256])
        learner.history.append([learner.step, round(scores["psnr"], 3)])
        if scores["l1"] < learner.best:
            learner.best = scores["l1"]
            self.metrics = {"autoencoder": scores}
            self.vae = copy.deepcopy(learner.average)
            export_pipeline(self.out, self.vae, self.denoiser.average, self.tokenizer)
        self._save_checkpoint()

    def _save_denoiser(self) -> None:
        learner = self.denoiser
        loss = evaluate_denoiser(
            learner.average, self.held_out_latents, self.held_out, self.tokenizer
        )
        learner.history.append([learner.step, round(loss, 5)])
        if loss < learner.best:
            assert self.vae is not None  # train_denoiser has checked
            learner.best = loss
            self.metrics["velocity_loss"] = loss
            export_pipeline(self.out, self.vae, learner.average, self.tokenizer)
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        assert self.vae is not None  # the first evaluation has set it
        save_checkpoint(
            self.out,
            autoencoder=self.autoencoder.state_dict(),
            denoiser=self.denoiser.state_dict(),
            vae=self.vae.state_dict(),
            metrics=self.metrics,
        )
        self._save_record()

    def _save_record(self) -> None:
        stages = {"autoencoder": self.autoencoder, "denoiser": self.denoiser}
        write_record(
            self.out,
            model=MODEL,
            data=f"{len(self.train):,} critters drawn by training/critter_data.py (CC0), "
            f"captions by training/captions.py; {len(self.held_out):,} held out",
            seed=self.seed,
            steps={name: stage.step for name, stage in stages.items()},
            minutes={name: round(stage.minutes, 1) for name, stage in stages.items()},
            hardware=describe_hardware(self.device),
            parameters={
                "autoencoder": count_parameters(self.autoencoder.model),
                **{name: count_parameters(part) for name, part in self.denoiser.model.items()},
            },
            metrics=self.metrics,
            history={
                "autoencoder: step, held-out PSNR": _thin(self.autoencoder.history),
                "denoiser: step, held-out velocity loss": _thin(self.denoiser.history),
            },
        )


def _thin(history: list[list[float]], keep: int = 20) -> list[list[float]]:
    """Return about ``keep`` entries of ``history``, evenly spread, the last among them."""
    every = max(1, len(history) // keep)
    return history[::-1][::every][::-1]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stage", choices=("autoencoder", "denoiser", "all"), default="all")
    parser.add_argument("--count", type=int, default=20_000, help="pictures to train on")


def main() -> None:
    """Train, export and measure."""
    arguments = parse_arguments(
        __doc__ or "", out="models/image-critters", minutes=75, add=_add_arguments
    )
    run = Run(
        arguments.out,
        load_critters(arguments.count),
        load_critters(2_000, seed=1),
        pick_device(arguments.device),
        seed=arguments.seed,
        bfloat16=arguments.bfloat16,
    )
    if arguments.resume:
        run.resume()
    share = {"all": AUTOENCODER_SHARE, "autoencoder": 1.0, "denoiser": 0.0}[arguments.stage]
    if arguments.stage != "denoiser":
        run.train_autoencoder(share * arguments.minutes, arguments.max_steps)
    if arguments.stage != "autoencoder":
        run.train_denoiser((1 - share) * arguments.minutes, arguments.max_steps)
        run.measure()


if __name__ == "__main__":
    main()
