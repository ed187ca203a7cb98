"""The critters: what they are made of, how they are drawn and described, and how pictures compare.

The rooms draw and describe them, and ``training/`` teaches models with them.
"""
