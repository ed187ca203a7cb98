"""The tabs of the image room, in their order on the page."""
