"""The tabs of the image room, in the order in which they stand."""
