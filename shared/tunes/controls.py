"""What may be asked of a tune: style, mode, meter, key, tempo and instrument."""

from __future__ import annotations

from dataclasses import dataclass

ANY = "Any"
STYLES = ("Air", "Reel", "Jig", "SlipJig", "Hornpipe", "Strathspey", "March", "Chorale", "Lied")
MODES = ("Major", "Minor", "Dorian", "Mixolydian")
STYLE_NAMES = {"SlipJig": "Slip jig", "Lied": "Song with piano"}  # where a style is shown
METERS = ("2/4", "3/4", "4/4", "6/8", "9/8")
KEY_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")

QUARTERS_PER_MINUTE = {
    ANY: 110, "Air": 84, "Reel": 190, "Jig": 168, "SlipJig": 160, "Hornpipe": 160,
    "Strathspey": 120, "March": 104, "Chorale": 76, "Lied": 84,
}  # fmt: skip
SLOWEST, FASTEST = 40, 300

INSTRUMENTS = {
    "piano": 0, "electric piano": 4, "harpsichord": 6, "celesta": 8, "glockenspiel": 9,
    "music box": 10, "vibraphone": 11, "marimba": 12, "xylophone": 13, "dulcimer": 15, "organ": 19,
    "accordion": 21, "harmonica": 22, "concertina": 23, "guitar": 24, "violin": 40, "cello": 42,
    "pizzicato": 45, "harp": 46, "strings": 48, "choir": 52, "trumpet": 56, "horn": 60,
    "brass": 61, "saxophone": 65, "oboe": 68, "clarinet": 71, "piccolo": 72, "flute": 73,
    "recorder": 74, "pan pipe": 75, "whistle": 78, "chip": 80, "banjo": 105, "bagpipe": 109,
    "fiddle": 110,
}  # fmt: skip
"""General MIDI programs by plain name. They colour the sound; the model never sees them."""


@dataclass(frozen=True)
class TuneControls:
    """What a description asks for. None leaves the choice to the model.

    Attributes:
        style: One of ``STYLES``.
        mode: One of ``MODES``.
        meter: One of ``METERS``.
        tonic: Pitch class of the key note, 0 (C) to 11 (B). The default, D, suits the fiddle.
        tempo: Quarter notes a minute, ``SLOWEST`` to ``FASTEST``.
        instrument: A name in ``INSTRUMENTS``, for the melody or for all parts of a choir.
        accompaniment: Another, for chords or for the piano of a song; None for none.
        bars: Length in bars.
        seconds: Length in seconds.
        loop: The end leads back into the beginning.
        understood: The words of the description that were used.
        unknown: The words that were not.
    """

    style: str | None = None
    mode: str | None = None
    meter: str | None = None
    tonic: int = 2
    tempo: int = QUARTERS_PER_MINUTE[ANY]
    instrument: str = "fiddle"
    accompaniment: str | None = None
    bars: int | None = None
    seconds: float | None = None
    loop: bool = False
    understood: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def program(self) -> int:
        """General MIDI program, 0 to 127."""
        return INSTRUMENTS[self.instrument]

    @property
    def transposition(self) -> int:
        """Semitones from the model's C to the key, -5 to 6."""
        return (self.tonic + 5) % 12 - 5

    @property
    def summary(self) -> str:
        """The controls in words: "jig in 6/8, D major, 168 quarter notes a minute, fiddle"."""
        style = STYLE_NAMES.get(self.style or "", self.style or "tune").lower()
        meter = f" in {self.meter}" if self.meter else ""
        key = f"{KEY_NAMES[self.tonic]} {(self.mode or 'major or minor').lower()}"
        pace = f"{self.tempo} quarter notes a minute"
        players = self.instrument + (f" and {self.accompaniment}" if self.accompaniment else "")
        return f"{style}{meter}, {key}, {pace}, {players}"
