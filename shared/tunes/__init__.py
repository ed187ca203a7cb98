"""Tunes: controls and notes to tokens and back, notes to sound.

controls.py     what may be asked of a tune
tokens.py       scores to the tokens that the model reads and writes, and back
grammar.py      which tokens may follow which
compose.py      tunes written by a model, bar by bar
copying.py      whether they repeat what it was trained on
measures.py     bars of notes: tokens and text are turned into them
chords.py       bars of a melody to chords, by a stated rule
arrangement.py  bars to what is played: key, tempo, players
soundfont.py    the instruments' sounds
sound.py        scores to sound
loudness.py     how loud it is, and making it as loud as it should be
"""
