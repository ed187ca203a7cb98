"""The critters: their attributes, rendering, captions and picture metrics.

The rooms draw and describe them, and ``training/`` trains models on them.
"""
