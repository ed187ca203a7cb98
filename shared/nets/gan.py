"""What a generator learns from in a GAN (Goodfellow et al. 2014, https://arxiv.org/abs/1406.2661).

The discriminator is trained to tell drawn pictures from real ones, the generator to pass as real.
Only the generator is needed afterwards; see ``shared.nets.generator``.

The losses are those of R3GAN (Huang et al. 2024, https://arxiv.org/abs/2501.05441): each drawn
picture is compared with a real one, and the discriminator's slope is penalised on both. The first
keeps the generator from drawing one picture for every z, the second keeps the discriminator from
knowing so well that nothing can be learnt from it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shared.nets.generator import SLOPE, use_channels_last


class Discriminator(nn.Module):
    """Scores pictures: higher for real than for drawn.

    The last layers also see how much the batch varies, so that a generator that repeats itself
    gives itself away (Karras et al. 2018, https://arxiv.org/abs/1710.10196).
    """

    def __init__(self, channels: tuple[int, ...] = (48, 96, 192, 256)) -> None:
        super().__init__()
        first, *later = channels
        # Halving the size by reshaping first makes the costliest layers four times cheaper.
        stages: list[nn.Module] = [
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, first, 3, padding=1),
            nn.LeakyReLU(SLOPE),
        ]
        wide = first
        for narrow in later:
            stages += [nn.Conv2d(wide, narrow, 4, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            wide = narrow
        self.features = nn.Sequential(*stages)
        self.head = nn.Sequential(
            nn.Conv2d(wide + 1, wide, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(wide * 4 * 4, 1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=SLOPE)
                nn.init.zeros_(module.bias)
        use_channels_last(self)

    def forward(self, images: Tensor) -> Tensor:
        """Score images (B, 3, 64, 64) in [-1, 1]: (B,)."""
        x = self.features(images)  # (B, C, 4, 4)
        # The small constant keeps the root's slope finite where all pictures are equal.
        spread = (x.var(dim=0, unbiased=False) + 1e-6).sqrt().mean()
        return self.head(torch.cat([x, spread.expand(len(x), 1, *x.shape[2:])], dim=1)).squeeze(1)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """How far drawn pictures outscore real ones, pair by pair: scores (B,) to a scalar."""
    return F.softplus(fake - real).mean()


def generator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """The same with the roles exchanged: scores (B,) to a scalar."""
    return F.softplus(real - fake).mean()


def gradient_penalty(scores: Tensor, images: Tensor) -> Tensor:
    """Mean squared length of the scores' gradient by their images (Mescheder et al. 2018).

    Args:
        scores: (B,), computed from ``images``.
        images: (B, C, H, W) that require gradients.
    """
    (gradient,) = torch.autograd.grad(scores.sum(), images, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()
