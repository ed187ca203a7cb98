"""MusicGen (Copet et al. 2023, arXiv:2306.05284), through audiocraft or through transformers.

`engine.py` is what both share: the interface, and the loop that draws the tokens of a frame. What
a request asks for is handed to that loop and never kept on a model, so visitors can share one.
"""
