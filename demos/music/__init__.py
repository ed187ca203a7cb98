"""The music room: an autoregressive model that writes notes."""
