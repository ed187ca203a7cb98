"""Discriminators and losses of a GAN (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

They are used in training only. The generator is in ``shared.nets.generator``.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from shared.nets.generator import SLOPE, use_channels_last
from shared.nets.judge import Judge


class Discriminator(nn.Module):
    """Scores pictures: high for real, low for generated.

    A minibatch standard deviation layer detects mode collapse (Karras et al. 2018,
    https://arxiv.org/abs/1710.10196). There is no normalisation: ``r1_penalty`` regularises it.
    """

    def __init__(self, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        in_channels = 3
        for out_channels in channels:
            stages += [
                nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1),
                nn.LeakyReLU(SLOPE),
            ]
            in_channels = out_channels
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Conv2d(in_channels + 1, in_channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(in_channels * 4 * 4, 1),
        )
        use_channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, 64, 64) in [-1, 1]: (B, 1)."""
        x = self.features(images)  # (B, C, 4, 4)
        deviation = x.std(dim=0, unbiased=False).mean().expand(len(x), 1, *x.shape[2:])
        return self.head(torch.cat([x, deviation], dim=1))


class ProjectedDiscriminator(nn.Module):
    """Scores the features of a pretrained, frozen network, at each of its four depths.

    Pretrained features spare the discriminator learning them adversarially (Projected GAN, Sauer et
    al. 2021, https://arxiv.org/abs/2111.01007, here without the random projections). Its own
    convolutions have spectral normalisation (Miyato et al. 2018, https://arxiv.org/abs/1802.05957).

    Args:
        features: The pretrained network. It must not be the one that evaluates the result.
    """

    def __init__(self, features: Judge) -> None:
        super().__init__()
        self.stages = nn.ModuleList(features.stages()).requires_grad_(False).eval()
        self.heads = nn.ModuleList()
        for in_channels, size in zip(features.config.channels, (32, 16, 8, 4), strict=True):
            out_channels = min(2 * in_channels, 192)
            layers: list[nn.Module] = []
            while size > 4:
                layers += [
                    _conv(in_channels, out_channels, 4, stride=2, padding=1),
                    nn.LeakyReLU(SLOPE),
                ]
                in_channels, size = out_channels, size // 2
            if not layers:
                layers = [_conv(in_channels, out_channels, 3, padding=1), nn.LeakyReLU(SLOPE)]
            self.heads.append(nn.Sequential(*layers, _conv(out_channels, 1, 4), nn.Flatten()))
        use_channels_last(self)

    def train(self, mode: bool = True) -> "ProjectedDiscriminator":
        """Set the mode of the heads; the pretrained network stays in evaluation mode."""
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


def _conv(in_channels: int, out_channels: int, kernel: int, **options: Any) -> nn.Module:
    return spectral_norm(nn.Conv2d(in_channels, out_channels, kernel, **options))


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss on scores (B, K)."""
    return (F.softplus(-real) + F.softplus(fake)).sum(dim=1).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss on scores (B, K)."""
    return F.softplus(-fake).sum(dim=1).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """Mean squared gradient of the score at real pictures (B, 3, H, W).

    This penalty makes GAN training converge (Mescheder et al. 2018,
    https://arxiv.org/abs/1801.04406).
    """
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
