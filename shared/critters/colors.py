"""The colours of critters: the words of captions and labels -> the drawn colours.

Standard library only, since the page shows them too.
"""

COLORS = {
    "red": "#ef4444",
    "orange": "#fb923c",
    "yellow": "#fde047",
    "green": "#4ade80",
    "turquoise": "#22d3ee",
    "blue": "#3b82f6",
    "purple": "#a78bfa",
    "pink": "#f9a8d4",
    "brown": "#a9744a",
    "grey": "#94a3b8",
}
ACCENTS = {
    "white": "#f8fafc",
    "yellow": "#fde047",
    "green": "#4ade80",
    "blue": "#3b82f6",
    "pink": "#f9a8d4",
}
BACKGROUNDS = {
    "white": "#f8fafc",
    "black": "#18181b",
    "navy": "#1e3a8a",
    "maroon": "#7f1d1d",
    "forest green": "#14532d",
    "plum": "#581c87",
    "sky blue": "#bae6fd",
    "peach": "#fed7aa",
}
