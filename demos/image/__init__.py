"""The image room: a latent diffusion model, from noise to a picture."""
