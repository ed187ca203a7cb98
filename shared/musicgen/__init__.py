"""MusicGen (Copet et al. 2023, arXiv:2306.05284), through audiocraft or through transformers.

`engine.py` has what both share: the interface and the sampling loop. The parameters of a request
are passed to that loop and never stored on a model, so that several requests can share it.
"""
