"""Our own networks: VAE, GAN and the attribute classifier."""

from shared.nets.gan import Discriminator, ProjectedDiscriminator
from shared.nets.generator import Generator, GeneratorConfig, use_channels_last
from shared.nets.judge import Judge, JudgeConfig
from shared.nets.vae import VAE, VAEConfig, kl_divergence, reparameterize

__all__ = [
    "VAE",
    "Discriminator",
    "Generator",
    "GeneratorConfig",
    "Judge",
    "JudgeConfig",
    "ProjectedDiscriminator",
    "VAEConfig",
    "kl_divergence",
    "reparameterize",
    "use_channels_last",
]
