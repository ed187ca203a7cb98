"""Scores: reads MIDI files, and writes tunes as sheet music.

midi.py       a visitor's MIDI file to bars
notation.py   an arrangement to staves
voices.py     assigns notes to staves and voices
signs.py      a voice to written notes, rests, ties and beams
musicxml.py   staves to MusicXML, for notation programs
engraving.py  MusicXML to SVG
"""
