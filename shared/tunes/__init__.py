"""Tunes: plain words to controls, controls and notes to tokens and back, notes to sound.

controls.py     what may be asked of a tune
words.py        plain words to controls
tokens.py       scores to the tokens that the model reads and writes, and back
grammar.py      which tokens may follow which
compose.py      tunes written by a model, bar by bar
copying.py      whether they repeat what it was trained on
measures.py     bars of notes: tokens, text and files are turned into them
midi.py         a visitor's MIDI file to bars
chords.py       bars of a melody to chords, by a stated rule
arrangement.py  bars to what is played: key, tempo, players
notation.py     what is played to what is written: bars, voices, signs that add up
musicxml.py     that as a file for notation programs, spelled by the key
engraving.py    such a file to pictures of the score
soundfont.py    the instruments' sounds
sound.py        scores to sound
loudness.py     how loud it is, and making it as loud as it should be
"""
