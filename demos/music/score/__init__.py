"""Scores: MIDI files read, and tunes written as notes.

midi.py       a visitor's MIDI file to bars
notation.py   what is played to what is written
voices.py     which of it each staff and voice has
signs.py      the signs of a voice, which add up to whole bars
musicxml.py   that as a file for notation programs, spelled by the key
engraving.py  such a file to pictures of the score
"""
