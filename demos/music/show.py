"""How the music room draws what was composed: a piano roll, and the tokens of every bar."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import count, takewhile

from demos.music.generate import Bar, MusicStep
from shared.tunes.controls import KEY_NAMES
from shared.tunes.sound import PlayedNote
from shared.tunes.tokens import POSITIONS_PER_BEAT

LOWEST, HIGHEST = 57, 88  # the keys that the roll shows at least
NOTE_HEIGHT = 0.8  # of a semitone


def show_roll(notes: Sequence[PlayedNote], duration: float, bar_seconds: float = 0.0) -> str:
    """Draw notes as bars over time, from the first note on, with bar lines and seconds.

    Args:
        notes: What sounds, in order.
        duration: Seconds that the picture is wide, at least.
        bar_seconds: Length of one bar; 0 draws no bar lines.
    """
    pitches = [note.pitch for note in notes]
    low = min([LOWEST, *(pitch - 1 for pitch in pitches)])
    high = max([HIGHEST, *(pitch + 1 for pitch in pitches)])
    start = notes[0].start if notes else 0.0
    width = max([duration, *(note.start + note.duration - start for note in notes)])
    height = high - low + 1
    octaves = range(-(-low // 12) * 12, high + 1, 12)
    bar_lines = takewhile(lambda x: x < width, (k * bar_seconds - start for k in count(1)))
    lines = [
        *(f'<line class="octave" x2="{width:.3f}" {_level(high - p + 0.5)}/>' for p in octaves),
        *(_bar_line(x, height) for x in (bar_lines if bar_seconds else ())),
    ]
    labels = (
        f'<span style="top: {(high - p + 0.5) / height:.2%}">C{p // 12 - 1}</span>' for p in octaves
    )
    ticks = range(0, int(width) + 1, 5 if width <= 30 else 10)
    seconds = (f'<span style="left: {t / width:.2%}">{t} s</span>' for t in ticks)
    rects = (
        f'<rect x="{note.start - start:.3f}" y="{high - note.pitch + (1 - NOTE_HEIGHT) / 2:.1f}" '
        f'width="{note.duration * 0.94:.3f}" height="{NOTE_HEIGHT}"/>'
        for note in notes
    )
    return (
        f'<figure class="roll"><div class="roll-plot"><svg role="img" preserveAspectRatio="none" '
        f'viewBox="0 0 {width:.3f} {height}"><title>{_describe(notes)}</title>'
        f"{''.join(lines)}{''.join(rects)}</svg>{''.join(labels)}</div>"
        f'<div class="roll-axis">{"".join(seconds)}</div></figure>'
    )


def _level(y: float) -> str:
    return f'y1="{y}" y2="{y}"'


def _bar_line(x: float, height: int) -> str:
    return f'<line x1="{x:.3f}" x2="{x:.3f}" y2="{height}"/>'


def _describe(notes: Sequence[PlayedNote]) -> str:
    if not notes:
        return "Piano roll without notes"
    pitches = [note.pitch for note in notes]
    seconds = max(note.start + note.duration for note in notes) - notes[0].start
    return (
        f"Piano roll: {len(notes)} notes from {pitch_name(min(pitches))} to "
        f"{pitch_name(max(pitches))} in {seconds:.0f} seconds"
    )


def pitch_name(pitch: int) -> str:
    """Name a MIDI pitch; middle C, 60, is C4."""
    return f"{KEY_NAMES[pitch % 12]}{pitch // 12 - 1}"


def show_caption(step: MusicStep, title: str, seed: int) -> str:
    """Say what was understood, who composed, and how much there is."""
    summary = step.controls.summary
    said = f"<b>{html.escape(summary[0].upper() + summary[1:])}</b>"
    if step.controls.unknown:
        words = ", ".join(html.escape(word) for word in step.controls.unknown)
        said += f" · not understood: {words}"
    tunes = step.bars[-1].tune
    amount = f"{len(step.bars)} bars" + (f" in {tunes} tunes" if tunes > 1 else "")
    said += f"<br>{title} · {amount} · {step.seconds:.0f} seconds · seed {seed}"
    if not step.notes:
        said += "<br>The model wrote only rests so far. Another seed will bring notes."
    return said


def show_bars(bars: Iterable[Bar]) -> str:
    """List the tokens of each bar, coloured by the probability that the model gave them."""
    lines = (
        f"<div><b>Bar {number}</b>{_show_tokens(bar)}</div>" for number, bar in enumerate(bars, 1)
    )
    return f'<div class="tokens bars">{"".join(lines)}</div>'


def _show_tokens(bar: Bar) -> str:
    beat = Fraction(1, int(bar.tokens[1].name.split("/")[1]))
    return "".join(
        f'<span class="{token.name.split("_")[0].lower()}" title="{token.probability:.1%}" '
        f'style="--share: {50 * token.probability:.0f}%">{read_token(token.name, beat)}</span>'
        for token in bar.tokens[1:]
    )


def read_token(name: str, beat: Fraction) -> str:
    """Put a token into words, such as ``Position 3/8``; lengths are in whole notes.

    Args:
        name: As in the vocabulary, such as ``Position_18``.
        beat: Length of a beat: a quarter or an eighth.
    """
    kind, value = name.split("_")
    match kind:
        case "TimeSig":
            return f"Meter {value}"
        case "Position":
            return f"Position {Fraction(int(value), POSITIONS_PER_BEAT) * beat}"
        case "Pitch":
            return f"Pitch {pitch_name(int(value))}"
        case _:
            beats, part, parts = map(int, value.split("."))
            return f"{kind} {(beats + Fraction(part, parts)) * beat}"
