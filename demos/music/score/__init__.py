"""Scores: MIDI files read, and tunes written as notes.

midi.py       a visitor's MIDI file to bars
notation.py   what is played to what is written: bars, voices, signs that add up
musicxml.py   that as a file for notation programs, spelled by the key
engraving.py  such a file to pictures of the score
"""
