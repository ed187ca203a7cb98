"""The tabs of the music room, one module each."""
