"""What a generator learns from in a GAN (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

The discriminator is trained to tell drawn pictures from real ones, the generator to pass as real.
Only the generator is needed afterwards; see ``shared.nets.generator``.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from shared.nets.generator import SLOPE, use_channels_last


class Discriminator(nn.Module):
    """Scores pictures: high for real, low for drawn.

    Spectral normalisation keeps each layer from stretching its input, so that the score cannot
    change faster than the generator can follow (Miyato et al. 2018,
    https://arxiv.org/abs/1802.05957). The last layers also see how much the batch varies, so that
    a generator that repeats itself gives itself away (Karras et al. 2018,
    https://arxiv.org/abs/1710.10196).
    """

    def __init__(self, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        wide = 3
        for narrow in channels:
            stages += [
                spectral_norm(nn.Conv2d(wide, narrow, 4, stride=2, padding=1)),
                nn.LeakyReLU(SLOPE),
            ]
            wide = narrow
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            spectral_norm(nn.Conv2d(wide + 1, wide, 3, padding=1)),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            spectral_norm(nn.Linear(wide * 4 * 4, 1)),
        )
        use_channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, 64, 64) in [-1, 1]: (B,)."""
        x = self.features(images)  # (B, C, 4, 4)
        spread = x.std(dim=0, unbiased=False).mean().expand(len(x), 1, *x.shape[2:])
        return self.head(torch.cat([x, spread], dim=1)).squeeze(1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Hinge loss on scores (B,): push real above 1 and drawn below -1 (Lim and Ye 2017)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def generator_loss(fake: Tensor) -> Tensor:
    """The generator wants its pictures scored high: (B,) to a scalar."""
    return -fake.mean()
