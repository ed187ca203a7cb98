"""HTML and JSON for the compose tab: player data, captions and tokens. No Gradio here."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from demos.music.generate import Bar, MusicRequest, MusicStep
from demos.music.recording import Chunk
from demos.music.words import explain_phrase
from shared.tunes.controls import KEY_NAMES, TuneControls
from shared.tunes.tokens import POSITIONS_PER_BEAT


def show_player(
    step: MusicStep,
    chunks: Sequence[Chunk],
    *,
    key: str,
    rendered: float,
    total: float,
    gain: float,
    autoplay: bool = True,
) -> str:
    """Return the data of the player on the page as JSON.

    Args:
        step: What is composed so far.
        chunks: The rendered sound.
        key: Id of the piece; the player restarts when it changes.
        rendered: Seconds that the chunks cover.
        total: Expected length in seconds.
        gain: Factor on the volume of all chunks.
        autoplay: Whether playback starts by itself.
    """
    music = step.arrangement
    return json.dumps(
        {
            "id": key,
            "parts": [[part.name, part.instrument] for part in music.parts],
            "notes": [
                [round(note.start, 3), round(note.duration, 3), note.pitch, note.track]
                for note in music.notes
            ],
            "bars": [round(start, 3) for start in music.bar_starts],
            "chords": [[round(start, 3), name] for start, name in music.chords],
            "seconds": round(music.seconds, 4),
            "total": round(total, 2),
            "chunks": [[chunk.start, _address(chunk.path), chunk.scale] for chunk in chunks],
            "rendered": rendered,
            "gain": gain,
            "done": step.is_complete,
            "autoplay": autoplay,
            "loop": step.controls.loop,
        },
        separators=(",", ":"),
    )


def _address(path: Path) -> str:
    """Return the URL of a file: absolute paths are served by Gradio, relative ones are URLs."""
    return f"gradio_api/file={path.as_posix()}" if path.is_absolute() else path.as_posix()


def show_understood(controls: TuneControls, own: Sequence[str] = ()) -> str:
    """Return HTML that says what was understood, what was not, and which fields are ``own``."""
    said = []
    for phrase in controls.understood:
        meaning = explain_phrase(phrase)
        said.append(
            f"<b>{html.escape(phrase)}</b>" + (f" ({html.escape(meaning)})" if meaning else "")
        )
    lines = [
        "Understood: " + " · ".join(said) + "."
        if said
        else "Nothing said: the usual key, tempo and players; all else is left to the model."
    ]
    if controls.unknown:
        words = ", ".join(f"<b>{html.escape(word)}</b>" for word in controls.unknown)
        lines.append(f'<span class="unknown">Not understood: {words}.</span>')
    lines += _say_limits(controls)
    if own:
        lines.append(f"Yours: {', '.join(own)}; the words leave that alone.")
    return "<br>".join(lines)


def _say_limits(controls: TuneControls) -> list[str]:
    """Return sentences about lengths that are outside the limits."""
    asked = {"duration": ("seconds", controls.seconds), "bars": ("bars", controls.bars)}
    said = []
    for name, (unit, number) in asked.items():
        least, most, _ = MusicRequest.limits(name)
        if number is not None and not least <= number <= most:
            said.append(
                f"{least:.0f} {unit} are the least."
                if number < least
                else f"{most:.0f} {unit} are the most."
            )
    return said


def show_caption(
    step: MusicStep, title: str, seed: int, note: str = "", left: str = "", remark: str = ""
) -> str:
    """Return the caption: what it is, the model, and the length so far.

    Args:
        step: What is composed so far.
        title: Title of the model.
        seed: Seed of the request; not shown if negative.
        note: The last command, such as "goes on".
        left: Progress and remaining time.
        remark: More sentences for the visitor.
    """
    summary = step.heard.summary
    seconds = int(round(step.arrangement.seconds, 4))  # rounded down, as in the player's clock
    tunes = len({bar.tune for bar in step.bars})
    # An upbeat is not counted, unless it is all there is after an early Stop.
    bars = max(1, len(step.bars) - step.has_upbeat)
    parts = [
        html.escape(title),
        f"{bars} bar{'' if bars == 1 else 's'}"
        + (f": {tunes} tunes in a row, as players join them into a set" if tunes > 1 else ""),
        f"{seconds} second{'' if seconds == 1 else 's'}",
        *([f"seed {seed}"] if seed >= 0 else []),
        *([html.escape(note)] if note else []),
    ]
    said = f"<b>{html.escape(summary[0].upper() + summary[1:])}</b><br>{' · '.join(parts)}"
    if not step.arrangement.notes:
        said += "<br>The model wrote only rests so far. Another seed will bring notes."
    said += f'<span class="left"> · {left}</span>' if left else ""
    return said + (f"<br>{html.escape(remark)}" if remark else "")


def show_bars(step: MusicStep) -> str:
    """Return HTML with the chords and the tokens of each bar, coloured by their probability.

    The chords come from the rule in ``shared.tunes.chords``.
    """
    music = step.arrangement
    starts = [*music.bar_starts, music.seconds]
    dropped = len(step.bars) - len(music.bar_starts)  # the upbeat of a loop is not played
    lines = []
    for number, bar in enumerate(step.bars):
        chords = ""
        if number >= dropped:
            begin, end = starts[number - dropped], starts[number - dropped + 1]
            names = [name for start, name in music.chords if begin - 1e-6 <= start < end - 1e-6]
            chords = f"<i>{' '.join(names)}</i>" if names else ""
        count = number + 1 - step.has_upbeat
        name = f"Bar {count}" if count else "Upbeat"
        lines.append(f"<div><b>{name}</b>{chords}{_show_tokens(bar)}</div>")
    if not any(bar.tokens for bar in step.bars):
        lines.insert(0, "<p>These bars were read from a file: it has notes, no probabilities.</p>")
    return f'<div class="tokens bars">{"".join(lines)}</div>'


def _show_tokens(bar: Bar) -> str:
    beat = Fraction(1, int(bar.measure.meter.split("/")[1]))
    return "".join(
        f'<span class="{token.name.split("_")[0].lower()}" title="{token.probability:.1%}" '
        f'style="--share: {50 * token.probability:.0f}%">{read_token(token.name, beat)}</span>'
        for token in bar.tokens[1:]
    )


def pitch_name(pitch: int) -> str:
    """Return the name of a MIDI pitch; middle C, 60, is C4."""
    return f"{KEY_NAMES[pitch % 12]}{pitch // 12 - 1}"


def read_token(name: str, beat: Fraction) -> str:
    """Return a readable token, such as ``Position 3/8``; lengths are in whole notes.

    Args:
        name: As in the vocabulary, such as ``Position_18``.
        beat: Length of a beat: a quarter or an eighth.
    """
    kind, value = name.split("_", 1)
    match kind:
        case "TimeSig":
            return f"Meter {value}"
        case "Position":
            return f"Position {Fraction(int(value), POSITIONS_PER_BEAT) * beat}"
        case "Pitch":
            return f"Pitch {pitch_name(int(value))}"
        case "Duration":
            beats, part, parts = map(int, value.split("."))
            return f"{kind} {(beats + Fraction(part, parts)) * beat}"
        case _:
            return f"{kind} {value}"


def describe_left(done: float, seconds: float) -> str:
    """Return progress and estimated time: "40% composed, 2 s left" for ``seconds`` so far."""
    left = seconds / done - seconds if done else 0.0
    return f"{min(done, 1):.0%} composed, {max(left, 0):.0f} s left"
