"""What a generator learns from in a GAN (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

The discriminator is trained to tell drawn pictures from real ones, the generator to pass as real.
Only the generator is needed afterwards; see ``shared.nets.generator``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.nets.generator import SLOPE, use_channels_last


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
        """Score images (B, 3, 64, 64) in [-1, 1]: (B,)."""
        x = self.features(images)  # (B, C, 4, 4)
        spread = x.std(dim=0, unbiased=False).mean().expand(len(x), 1, *x.shape[2:])
        return self.head(torch.cat([x, spread], dim=1)).squeeze(1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Logistic loss on scores (B,): the log-likelihood of telling real from drawn."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss on scores (B,): the generator wants its pictures taken for real."""
    return F.softplus(-fake).mean()


def r1_penalty(discriminator: nn.Module, real: Tensor) -> Tensor:
    """How steep the score is around real pictures (B, 3, H, W): the squared gradient, averaged.

    Punishing it makes GAN training converge (Mescheder et al. 2018,
    https://arxiv.org/abs/1801.04406).
    """
    real = real.detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(discriminator(real).sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
