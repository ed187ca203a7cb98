"""The training stages of image/critters: losses, training loops and held-out metrics."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderTiny, DDIMScheduler
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from shared.nets import Judge
from training.common import (
    Budget,
    one_cycle,
    set_learning_rate,
    stop_cleanly,
    update_ema,
)
from training.image_nets import (
    TEXT_WIDTH,
    build_scheduler,
    decode,
    encode,
    to_pixels,
    tokenize,
)
from training.mixture import Mixture

AUTOENCODER_BATCH = 16
READER_BATCH = 128
DENOISER_BATCH = 64
# Weights of the neighbours' differences and of the latents' moments; noise added to latents.
EDGES, MOMENTS, LATENT_NOISE = 0.5, 0.005, 0.05
PERCEPTUAL = 0.01  # weight of the perceptual loss, if a classifier is given
ANCHOR = 0.05  # weight of keeping the latents of an existing denoiser
# Probability that a caption leaves an attribute out, and that it is empty, which classifier-free
# guidance needs (Ho and Salimans 2022, arXiv:2207.12598).
DROP_ATTRIBUTE = 0.15
DROP_CAPTION = 0.1

Net = TypeVar("Net", bound=nn.Module)


class Learner(Generic[Net]):
    """A network with its optimizer and the moving average of its weights, which is exported.

    Args:
        model: The network to train.
        learning_rate: Its peak; the schedule is ``one_cycle``.
        ema_decay: Decay of the average; lower in the first steps.
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
        """Take one optimizer step. ``progress`` is the elapsed share of the run."""
        set_learning_rate(self.optimizer, self._learning_rate * one_cycle(progress))
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        update_ema(self.average, self.model, min(self._ema_decay, self.step / (self.step + 9)))

    def state_dict(self) -> dict[str, Any]:
        """Return the state of a checkpoint."""
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
        """Load what ``state_dict`` returned."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("step", "minutes", "best", "history"):
            setattr(self, name, state[name])


def mixed_precision(device: torch.device, bfloat16: bool) -> torch.autocast:
    """Return a context that computes in bfloat16 if asked to; weights stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=bfloat16)


@dataclass(frozen=True)
class Anchor:
    """The latents that some pictures of a batch should keep.

    Attributes:
        held: (B,) bool, these pictures.
        latents: (number of them, C, 8, 8).
    """

    held: Tensor
    latents: Tensor


def autoencoder_loss(
    vae: AutoencoderTiny,
    pixels: Tensor,
    classifier: Judge | None = None,
    anchor: Anchor | None = None,
) -> Tensor:
    """Return the squared error of pixels and of their differences, and the latents' moments.

    Squared, not absolute: a mouth is a few pixels, and with an uncertain position the lowest
    absolute error leaves it out.

    The second term favours sharp edges, which dominate these pictures. The third keeps the mean of
    each latent channel at 0 and its standard deviation at 1, as the denoiser expects. A little
    noise on the latents makes the decoder robust to errors of the denoiser.

    A ``classifier`` adds a perceptual loss (Johnson et al. 2016, arXiv:1603.08155), since
    attributes often differ by little contrast, such as a white horn on white.

    An ``anchor`` keeps the latents of some pictures, so that an existing denoiser stays valid.
    """
    latents = vae.encode(pixels).latents.float()
    noisy = latents + LATENT_NOISE * torch.randn_like(latents)
    error = vae.decode(noisy).sample.float() - pixels
    edges = error.diff(dim=2).square().mean() + error.diff(dim=3).square().mean()
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))  # (C,)
    moments = mean.square().mean() + (std - 1).square().mean()
    loss = error.square().mean() + EDGES * edges + MOMENTS * moments
    if classifier:
        loss = loss + PERCEPTUAL * perceptual_loss(classifier, pixels + error, pixels)
    if anchor:
        loss = loss + ANCHOR * (latents[anchor.held] - anchor.latents).square().mean()
    return loss


def perceptual_loss(classifier: Judge, drawn: Tensor, real: Tensor) -> Tensor:
    """Return the mean squared difference of two batches in the features of a classifier.

    Each stage's difference is relative to the variance of its features.
    """
    losses = []
    for stage in classifier.stages():
        drawn, real = stage(drawn), stage(real)
        spread = real.float().var().detach() + 1e-6
        losses.append((drawn - real.detach()).float().square().mean() / spread)
    return torch.stack(losses).mean()


def train_autoencoder(
    learner: Learner[AutoencoderTiny],
    data: Mixture,
    classifier: Judge | None,
    budget: Budget,
    *,
    bfloat16: bool,
    before: AutoencoderTiny | None = None,
    known: Collection[str] = (),
) -> Iterator[float]:
    """Yield the loss of each step, endlessly.

    Args:
        learner: Holds the autoencoder.
        data: Training pictures.
        classifier: A classifier for the perceptual loss, or None.
        budget: Its progress sets the learning rate.
        bfloat16: Compute in mixed precision.
        before: The autoencoder of an existing denoiser, or None.
        known: The worlds of that denoiser, whose latents should not change.
    """
    device = next(learner.model.parameters()).device
    while True:
        chosen = data.choose(AUTOENCODER_BATCH)
        pixels = to_pixels(data.images[chosen], device)
        anchor = None
        with mixed_precision(device, bfloat16):
            held = torch.tensor([data.find(index)[0].world.name in known for index in chosen])
            if before and held.any():
                with torch.no_grad():
                    anchor = Anchor(held, before.encode(pixels[held]).latents.float())
            loss = autoencoder_loss(learner.model, pixels, classifier, anchor)
        learner.update(loss, budget.progress)
        yield float(loss.detach())


def evaluate_autoencoder(vae: AutoencoderTiny, images: np.ndarray) -> dict[str, float]:
    """Return ``l1`` (pixels from 0 to 1) and ``psnr`` (dB, mean over pictures) of ``images``."""
    pixels = to_pixels(images, vae.device)
    error = (decode(vae, encode(vae, images)) - pixels) / 2
    psnr = -10 * error.square().mean(dim=(1, 2, 3)).log10()
    return {"l1": float(error.abs().mean()), "psnr": float(psnr.mean())}


class Reader(nn.Module):
    """A text encoder with heads that classify the attributes of a caption, for pretraining."""

    def __init__(self, text_encoder: CLIPTextModel, values: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        self.text_encoder = text_encoder
        self.values = values
        self.heads = nn.ModuleDict(
            {name: nn.Linear(TEXT_WIDTH, len(words) + 1) for name, words in values.items()}
        )

    def forward(self, token_ids: Tensor) -> dict[str, Tensor]:
        """Token ids (B, T) -> attribute -> (B, values + 1) logits; the last is "not named"."""
        # The last position is padding, which attends to all tokens before it.
        state = self.text_encoder(token_ids).last_hidden_state[:, -1]
        return {name: head(state) for name, head in self.heads.items()}


def train_reader(
    learner: Learner[Reader],
    data: Mixture,
    tokenizer: CLIPTokenizer,
    budget: Budget,
    rng: random.Random,
) -> Iterator[float]:
    """Yield the cross-entropy, averaged over attributes, of each step.

    Args:
        learner: Holds the reader.
        data: Has the attributes for captions.
        tokenizer: Turns the captions into tokens.
        budget: Its progress sets the learning rate.
        rng: For the captions.
    """
    device = next(learner.model.parameters()).device
    while True:
        chosen = data.choose(READER_BATCH)
        captions = [data.write_caption(index, rng, drop=0.25) for index in chosen]
        words = [data.describe(index) for index in chosen]
        logits = learner.model(tokenize(tokenizer, [one.text for one in captions], device))
        losses = []
        for name, values in learner.model.values.items():
            wanted = [
                values.index(described[name]) if name in caption.named else len(values)
                for described, caption in zip(words, captions, strict=True)
            ]
            losses.append(F.cross_entropy(logits[name], torch.tensor(wanted, device=device)))
        loss = torch.stack(losses).mean()
        learner.update(loss, budget.progress)
        yield float(loss.detach())


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
        scheduler: The noise schedule.
        latents: (B, C, 8, 8), without noise.
        token_ids: (B, T).
        noise: Like ``latents``.
        timesteps: (B,), 0 to 999.
    """
    noisy = scheduler.add_noise(latents, noise, timesteps)
    velocity = scheduler.get_velocity(latents, noise, timesteps)
    text = denoiser["text_encoder"](token_ids).last_hidden_state  # (B, T, TEXT_WIDTH)
    return F.mse_loss(denoiser["unet"](noisy, timesteps, text).sample.float(), velocity)


def train_denoiser(
    learner: Learner[nn.ModuleDict],
    latents: Tensor,
    data: Mixture,
    tokenizer: CLIPTokenizer,
    budget: Budget,
    rng: random.Random,
    *,
    batch: int = DENOISER_BATCH,
    bfloat16: bool = False,
) -> Iterator[float]:
    """Yield the loss of each step, endlessly.

    Args:
        learner: Holds ``unet`` and ``text_encoder`` in a ``ModuleDict``.
        latents: (N, C, 8, 8), one for each picture.
        data: Has their attributes; each step writes new captions.
        tokenizer: Turns the captions into tokens.
        budget: Its progress sets the learning rate.
        rng: For the captions.
        batch: Pictures in a step.
        bfloat16: Compute in mixed precision.
    """
    scheduler, device = build_scheduler(), latents.device
    while True:
        chosen = data.choose(batch)
        captions = [
            ""
            if rng.random() < DROP_CAPTION
            else data.write_caption(index, rng, drop=DROP_ATTRIBUTE).text
            for index in chosen
        ]
        clean = latents[torch.tensor(chosen, device=device)]
        # Stratified over the batch, which lowers the variance of the loss.
        times = (torch.rand(1) + torch.arange(batch) / batch) % 1 * 1000
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
    denoiser: nn.ModuleDict, latents: Tensor, data: Mixture, tokenizer: CLIPTokenizer
) -> float:
    """Return the loss on held-out pictures with full captions, with fixed noise and time steps."""
    captions_rng, rng = random.Random(0), torch.Generator().manual_seed(0)
    scheduler, count = build_scheduler(), len(latents)
    captions = [data.write_caption(index, captions_rng).text for index in range(count)]
    token_ids = tokenize(tokenizer, captions, latents.device)
    noise = torch.randn(latents.shape, generator=rng).to(latents.device)
    times = (torch.arange(count) * 1000 // count).to(latents.device)
    losses = [
        denoiser_loss(denoiser, scheduler, latents[part], token_ids[part], noise[part], times[part])
        for part in torch.arange(count).chunk(max(1, count // DENOISER_BATCH))
    ]
    return float(torch.stack(losses).mean())


def run_stage(
    label: str,
    learner: Learner[Any],
    losses: Iterator[float],
    budget: Budget,
    save: Callable[[], None],
    max_steps: int | None,
    follow: Callable[[float], None] = lambda loss: None,
) -> None:
    """Consume a training loop until the budget is spent; call ``save`` each minute and at the end.

    ``follow`` is called with every loss. Ctrl-C and SIGTERM end the stage early and save too.
    """
    smooth = None
    with stop_cleanly():
        for bar in budget.steps(label, max_steps):
            loss = next(losses)
            smooth = loss if smooth is None else 0.98 * smooth + 0.02 * loss
            learner.minutes = budget.minutes_spent
            bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
            follow(loss)
            if budget.checkpoint_due():
                save()
    save()
