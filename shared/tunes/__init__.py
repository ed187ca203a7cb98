"""Tunes: plain words to controls, controls and notes to tokens and back, notes to sound.

controls.py  what may be asked of a tune
words.py     plain words to controls
tokens.py    scores to the tokens that the model reads and writes, and back
grammar.py   which tokens may follow which
compose.py   tunes written by a model, bar by bar
copying.py   whether they repeat what it was trained on
sound.py     scores to sound and to MIDI
"""
