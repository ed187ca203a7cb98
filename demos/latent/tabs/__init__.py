"""The tabs of the latent-space room, in the order in which they stand."""
