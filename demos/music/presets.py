"""Presets to start from. No Gradio here."""

from __future__ import annotations

PRESETS = {
    "A tune": "a lively jig in D major for fiddle and guitar",
    "Game level loop": "a lively game level loop in A minor for chip and pizzicato, 16 bars",
    "Lullaby": "a gentle lullaby in F major for music box and harp, 30 seconds",
    "Fanfare": "a bright fanfare in B flat major for trumpet and brass, 12 bars",
    "Study background": "calm music in D dorian for vibraphone and electric piano, two minutes",
    "Something sad": "a slow sad tune in a minor key for flute and piano",
    "Four voices": "a Bach chorale in G minor on the organ",
    "A song": "a slow song with piano in G minor for oboe",
    "For dancing": "a fast reel in E dorian for accordion and guitar",
    "By the fire": "a slow air in F major for whistle and harp",
}
"""Titles and descriptions; a description sets all controls."""
EXAMPLE = PRESETS["A tune"]
