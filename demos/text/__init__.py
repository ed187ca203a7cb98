"""The text room: an autoregressive language model."""
