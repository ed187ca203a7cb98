"""What a generator learns from in a GAN (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

The discriminator is trained to tell drawn pictures from real ones, the generator to pass as real.
Only the generator is needed afterwards; see ``shared.nets.generator``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from shared.nets.generator import SLOPE, use_channels_last
from shared.nets.judge import Judge


class Discriminator(nn.Module):
    """Scores pictures: high for real, low for drawn.

    The last layers also see how much the batch varies, so that a generator that repeats itself
    gives itself away (Karras et al. 2018, https://arxiv.org/abs/1710.10196). Nothing in it is
    normalised: ``r1_penalty`` keeps its score from changing faster than the generator can follow.
    """

    def __init__(self, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        wide = 3
        for narrow in channels:
            stages += [
                nn.Conv2d(wide, narrow, 4, stride=2, padding=1),
                nn.LeakyReLU(SLOPE),
            ]
            wide = narrow
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Conv2d(wide + 1, wide, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(wide * 4 * 4, 1),
        )
        use_channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, 64, 64) in [-1, 1]: (B, 1)."""
        x = self.features(images)  # (B, C, 4, 4)
        spread = x.std(dim=0, unbiased=False).mean().expand(len(x), 1, *x.shape[2:])
        return self.head(torch.cat([x, spread], dim=1))


class ProjectedDiscriminator(nn.Module):
    """Scores what a trained, frozen network sees in pictures, at each of its four depths.

    Who knows eyes and mouths already need not learn them while it is being fooled (Projected GAN,
    Sauer et al. 2021, https://arxiv.org/abs/2111.01007, here without the random projections). Its
    own convolutions are held back by spectral normalisation (Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957).

    Args:
        eyes: The frozen network. It must not be the one that measures the result.
    """

    def __init__(self, eyes: Judge) -> None:
        super().__init__()
        self.stages = nn.ModuleList(eyes.stages()).requires_grad_(False).eval()
        self.heads = nn.ModuleList()
        for wide, size in zip(eyes.config.channels, (32, 16, 8, 4), strict=True):
            narrow = min(2 * wide, 192)
            layers: list[nn.Module] = []
            while size > 4:
                layers += [_conv(wide, narrow, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
                wide, size = narrow, size // 2
            if not layers:
                layers = [_conv(wide, narrow, 3, padding=1), nn.LeakyReLU(SLOPE)]
            self.heads.append(nn.Sequential(*layers, _conv(narrow, 1, 4), nn.Flatten()))
        use_channels_last(self)

    def train(self, mode: bool = True) -> "ProjectedDiscriminator":
        """Train the heads alone: the eyes stay as they are."""
        super().train(mode)
        self.stages.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, 64, 64) in [-1, 1]: (B, 4), a column per depth."""
        x = images.contiguous(memory_format=torch.channels_last)
        scores = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            scores.append(head(x))
        return torch.cat(scores, dim=1)


def _conv(wide: int, narrow: int, kernel: int, **options: Any) -> nn.Module:
    return spectral_norm(nn.Conv2d(wide, narrow, kernel, **options))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss on scores (B, K): the log-likelihood of telling real from drawn."""
    return (F.softplus(-real) + F.softplus(fake)).sum(dim=1).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss on scores (B, K): the generator wants its pictures taken for real."""
    return F.softplus(-fake).sum(dim=1).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """How steep the score is around real pictures (B, 3, H, W): the squared gradient, averaged.

    Punishing it makes GAN training converge (Mescheder et al. 2018,
    https://arxiv.org/abs/1801.04406).
    """
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
