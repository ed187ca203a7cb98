"""Tunes: controls and notes to tokens and back, notes to sound.

controls.py     the settings of a tune: style, key, tempo, instruments
tokens.py       scores to the tokens that the model reads and writes, and back
grammar.py      which token may come after which
compose.py      a model writes tunes bar by bar
copying.py      detects passages copied from the training data
measures.py     bars of notes, from and to tokens and text
chords.py       chords for a melody, by a fixed rule
arrangement.py  bars to notes in seconds: key, tempo, instruments
soundfont.py    finds and reads SoundFonts
sound.py        scores to sound
loudness.py     measures and normalizes loudness
"""
