"""The tabs of the text room, one module each."""
