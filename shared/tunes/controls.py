"""The settings of a tune: style, mode, meter, key, tempo and instruments."""

from __future__ import annotations

from dataclasses import dataclass

ANY = "Any"
STYLES = ("Air", "Reel", "Jig", "SlipJig", "Hornpipe", "Strathspey", "March", "Chorale", "Lied")
MODES = ("Major", "Minor", "Dorian", "Mixolydian")
STYLE_NAMES = {"SlipJig": "Slip jig", "Lied": "Song with piano"}  # display names
METERS = ("2/4", "3/4", "4/4", "6/8", "9/8")
OTHER_KEY_NAMES = {"Db": "C#", "D#": "Eb", "Gb": "F#", "Ab": "G#", "A#": "Bb"}
KEY_NAMES = ("C", "C#", "D", "Eb", "E", "F", "F#", "G", "G#", "A", "Bb", "B")
"""By pitch class, as in the menu; ``TuneControls.key_name`` spells the key of a tune."""
KEY_LABELS = {"C#": "C# / Db", "G#": "G# / Ab"}  # the usual name of these depends on the mode
_LETTERS = "FCGDAEB"  # in fifths

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
"""General MIDI programs by plain name. The model never sees them."""


@dataclass(frozen=True)
class TuneControls:
    """What a description asks for. None means that the model chooses.

    Attributes:
        style: One of ``STYLES``.
        mode: One of ``MODES``.
        meter: One of ``METERS``.
        tonic: Pitch class of the key note, 0 (C) to 11 (B). D is a usual fiddle key.
        tempo: Quarter notes per minute, ``SLOWEST`` to ``FASTEST``.
        instrument: A name in ``INSTRUMENTS``; plays the melody, or all parts of a choir.
        accompaniment: A name in ``INSTRUMENTS``; plays the chords, or the piano part of a song.
            None for no accompaniment.
        bars: Length in bars.
        seconds: Length in seconds.
        loop: Whether the piece is played in a loop without a seam.
        understood: The words of the description that were understood.
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
    def fifths(self) -> int:
        """Fifths from C up to the key note, spelled with few accidentals: Db major, C# minor."""
        lowest = -3 if self.mode in ("Minor", "Dorian") else -5
        return (7 * self.tonic - lowest) % 12 + lowest

    @property
    def key_name(self) -> str:
        """The key in words: "Db major"; "D" without a mode."""
        return f"{spell_note(self.fifths)} {(self.mode or '').lower()}".rstrip()

    @property
    def transposition(self) -> int:
        """Semitones from the model's C to the key, -5 to 6."""
        return (self.tonic + 5) % 12 - 5

    @property
    def summary(self) -> str:
        """The controls in words: "jig in 6/8, D major, 168 quarter notes a minute, fiddle"."""
        style = STYLE_NAMES.get(self.style or "", self.style or "tune").lower()
        meter = f" in {self.meter}" if self.meter else ""
        pace = f"{self.tempo} quarter notes a minute"
        players = self.instrument + (f" and {self.accompaniment}" if self.accompaniment else "")
        return f"{style}{meter}, {self.key_name}, {pace}, {players}"


def find_instrument(program: int) -> str | None:
    """Return the name of a General MIDI program, or of the nearest in its family of eight."""
    family = [name for name, other in INSTRUMENTS.items() if other // 8 == program // 8]
    return min(family, key=lambda name: abs(INSTRUMENTS[name] - program), default=None)


def spell_note(fifths: int) -> str:
    """Name the note this many fifths above C: 1 is G, 6 is F#, -2 is Bb."""
    sharps, letter = divmod(fifths + 1, 7)
    return _LETTERS[letter] + ("#" * sharps or "b" * -sharps)
