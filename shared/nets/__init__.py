"""Our own torch modules: the generator that the VAE and the GAN share, and what trains each."""

from shared.nets.gan import Discriminator
from shared.nets.generator import Generator, GeneratorConfig
from shared.nets.vae import VAE, VAEConfig, kl_divergence, reparameterize

__all__ = [
    "VAE",
    "Discriminator",
    "Generator",
    "GeneratorConfig",
    "VAEConfig",
    "kl_divergence",
    "reparameterize",
]
