"""The latent-space room: a VAE beside a GAN."""
