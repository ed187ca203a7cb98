"""A variational autoencoder (Kingma and Welling 2014, https://arxiv.org/abs/1312.6114)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shared.nets.generator import (
    GROUPS,
    SLOPE,
    Generator,
    GeneratorConfig,
    PretrainedModule,
    use_channels_last,
)


@dataclass(frozen=True)
class VAEConfig(GeneratorConfig):
    """Size of a VAE: of its decoder, a ``Generator``, and of its encoder.

    Attributes:
        encoder_channels: Feature channels at 32, 16, 8 and 4 pixels a side, multiples of 8.
    """

    encoder_channels: tuple[int, ...] = (32, 64, 128, 192)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "encoder_channels", tuple(self.encoder_channels))


class VAE(PretrainedModule):
    """Encodes pictures as z and decodes them again.

    The encoder returns a Gaussian per picture, N(mu, exp(logvar)). Training keeps these close to
    N(0, I), so that the decoder can decode any z ~ N(0, I).
    """

    def __init__(self, config: VAEConfig) -> None:
        super().__init__()
        self.config = config
        first, *later = config.encoder_channels
        stages: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, first, 3, padding=1)]
        in_channels = first
        for out_channels in later:
            stages += [
                nn.GroupNorm(GROUPS, in_channels),
                nn.LeakyReLU(SLOPE),
                nn.Conv2d(in_channels, out_channels, 4, stride=2, padding=1),
            ]
            in_channels = out_channels
        self.encoder = nn.Sequential(
            *stages,
            nn.GroupNorm(GROUPS, in_channels),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(in_channels * 4 * 4, 2 * config.z_dim),
        )
        self.decoder = Generator(config)
        use_channels_last(self)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``mu`` and ``logvar``, each (B, z_dim), of images (B, 3, 64, 64) in [-1, 1].

        Raises:
            ValueError: The images have another shape.
        """
        size = self.config.image_size
        if images.ndim != 4 or images.shape[1:] != (3, size, size):
            raise ValueError(
                f"images must be (batch, 3, {size}, {size}), not {tuple(images.shape)}"
            )
        mu, logvar = self.encoder(images).chunk(2, dim=1)
        return mu, logvar

    def decode(self, z: Tensor) -> Tensor:
        """Decode z (B, z_dim) to pictures (B, 3, 64, 64) in [-1, 1]."""
        return self.decoder(z)

    def forward(
        self, images: Tensor, rng: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, sample and decode: return reconstructions, ``mu`` and ``logvar``."""
        mu, logvar = self.encode(images)
        return self.decode(reparameterize(mu, logvar, rng)), mu, logvar


def reparameterize(mu: Tensor, logvar: Tensor, rng: torch.Generator | None = None) -> Tensor:
    """Sample N(mu, exp(logvar)) differentiably: mu + sigma * noise, (B, z_dim).

    The noise is drawn on the CPU, so that a seed gives the same on every device.
    """
    noise = torch.randn(mu.shape, generator=rng).to(mu)
    return mu + torch.exp(0.5 * logvar) * noise


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Kullback-Leibler divergence of N(mu, exp(logvar)) from N(0, I), in nats: (B,)."""
    return 0.5 * (mu.square() + logvar.exp() - 1 - logvar).sum(dim=1)
